"""A code location: the definitions of a defs folder, built from state that stays the same."""

from __future__ import annotations

import os
import threading
import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hatch_defs_state.location import place as places
from hatch_defs_state.location.configuration import Given
from hatch_defs_state.location.loading import load
from hatch_defs_state.location.merging import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from hatch_defs_state.location.loading import Load
    from hatch_defs_state.location.pins import Pins
    from hatch_defs_state.storage.versioned import VersionedStorage


class CodeLocation:
    """The definitions of a defs module, installed or in a source tree.

    Every component builds its definitions from its state, which is read as a whole when the
    location is created, checked, and stays the same until `reload`:

    - `LOCAL_FILESYSTEM`: from `.local_defs_state` beside the components. No writer runs, except in
      development, where components with `refresh_if_dev` are refreshed first.
    - `VERSIONED_STATE_STORAGE`: from the newest commit in the store. It is downloaded into a cache
      that all processes share; a lease keeps clean-up of the store away from it.
    - `LEGACY_CODE_SERVER_SNAPSHOTS`: written by the component, once for each load, and kept in
      memory: on Linux in `/dev/shm`; elsewhere it is on disk while it is written and while
      definitions are built.

    What is not given here comes from the environment (`DEFS_STATE_STORE`, `DEFS_STATE_OFFLINE`,
    `DEFS_STATE_ALLOW_MISSING`, `DEFS_STATE_DEV`), else from the project's `pyproject.toml`, else,
    for an installed package, from what its build recorded. Several threads may use one object. In
    a fork it goes on to work; a store other than a folder can be asked by one process only, so
    `reload` fails there.

    Args:
        defs_module: Dotted name of the module whose folder holds the components.
        dev: Whether this is development.
        store: Where versioned state is kept: a folder, a URL, or a storage.
        offline: What to load when the store does not answer: nothing (`"fail"`), what was read
            last (`"last-pinned"`), or what the artifact carries (`"bundled"`). That is logged, and
            a `RuntimeWarning`.
        allow_missing: Globs of keys whose components get `None` when there is no state for them.
        pins: What another process has read (`CodeLocation.pins`): the same is read again, and no
            writer runs.
        cache: The folder of the cache; by default in the user's cache folder.

    Raises:
        DefsStateError: The module, a component or a setting is wrong; state is missing or damaged;
            the store does not answer. It is all there, or it is an error.
    """

    def __init__(
        self,
        defs_module: str,
        *,
        dev: bool | None = None,
        store: str | Path | VersionedStorage | None = None,
        offline: str | None = None,
        allow_missing: str | Sequence[str] | None = None,
        pins: Pins | None = None,
        cache: Path | None = None,
    ) -> None:
        self.defs_module = defs_module
        self._given = Given(store, offline, allow_missing, dev)
        self._cache = cache
        self._reloading = (os.getpid(), threading.Lock())
        place = places.find(defs_module)
        self._current = _Current(load(place, self._given, cache, pins, is_first=True))
        self._finalizer = weakref.finalize(self, self._current.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def definitions(self) -> Mapping[str, Any]:
        """What each component built, by state key."""
        return MappingProxyType(self._current.load.definitions)

    @property
    def merged(self) -> Any:
        """What all components built, as one object.

        Objects with a class method `merge` are merged by it, mappings become one mapping, lists one
        list.

        Raises:
            ComponentError: There is no way to merge these objects, or they contradict each other.
        """
        return merge(self._current.load.definitions)

    @property
    def versions(self) -> Mapping[str, str | None]:
        """What the definitions of each key were built from.

        The version in versioned storage; the digest of local state and of snapshots; `None` where
        there is no state.
        """
        return MappingProxyType(self._current.load.pins.versions)

    @property
    def serial(self) -> int | None:
        """Number of the commit that is read; `None` when there are no versioned components."""
        commit = self._current.load.pins.commit
        return commit.serial if commit else None

    @property
    def pins(self) -> Pins:
        """What was read, for another process: a value that can be pickled, and be made JSON of."""
        return self._current.load.pins

    def reload(self) -> None:
        """Read the newest state, and replace all definitions at once.

        Declarations are read anew, too; Python modules are not imported again.

        Raises:
            DefsStateError: The new state cannot be loaded; everything is as before.
        """
        with self._lock():
            place = places.find(self.defs_module)
            new = load(place, self._given, self._cache, None, is_first=False)
            self._current.replace(new)
            if not self._finalizer.alive:
                self._finalizer = weakref.finalize(self, self._current.close)

    def close(self) -> None:
        """Let go of the state. The definitions stay; what they read from files may go."""
        with self._lock():
            self._finalizer()

    def _lock(self) -> threading.Lock:
        # A thread that held the lock when this process was forked does not exist here.
        if self._reloading[0] != os.getpid():
            self._reloading = (os.getpid(), threading.Lock())
        return self._reloading[1]


class _Current:
    """The load that is in use."""

    def __init__(self, first: Load) -> None:
        self.load = first

    def replace(self, new: Load) -> None:
        old, self.load = self.load, new
        old.close()

    def close(self) -> None:
        self.load.close()
