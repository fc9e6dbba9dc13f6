"""Versions on their way to the paths that Dagster names, and places that outlast its own.

Dagster removes the folder of a downloaded state as soon as definitions are built. The project of a
dbt component is needed when its assets run: a state that is more than one file is restored into a
folder that stays until the process ends, and that is what `build_defs_from_state` is given.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import threading
import uuid
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from hatch_defs_state.errors import ObjectNotFoundError, VersionNotFoundError
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.versioned.layout import state_path
from hatch_defs_state.storage.versioned.versions import STATE, is_derived

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.storage.versioned import VersionedStorage

_lasting_place: dict[Path, Path] = {}
"""For paths at which Dagster wants states, where they really are."""


class Restorer:
    """Restores versions of one store. One object may be used by several threads.

    Args:
        storage: The store.
    """

    def __init__(self, storage: VersionedStorage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._process = os.getpid()
        _hand_out_lasting_places()

    def restore(self, key: str, version: str, path: Path) -> None:
        """Restore a version at `path`, in place of what is there.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it is missing or was altered.
        """
        _lasting_place.pop(path, None)
        fetched = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            self._fetch(key, version, fetched)
            if [entry.name for entry in os.scandir(fetched)] == [STATE] and not (
                fetched / STATE
            ).is_dir():
                (fetched / STATE).replace(path)
                return
            place = self._keep(key, version, fetched)
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
        is_writers_own = path.name == STATE and not any(path.parent.iterdir())
        _link(place / STATE, path)
        if is_writers_own:
            for sibling in place.iterdir():
                if sibling.name != STATE:
                    _link(sibling, path.with_name(sibling.name))
            _lasting_place[path] = place / STATE

    def _fetch(self, key: str, version: str, target: Path) -> None:
        try:
            self._storage.fetch(key, version, target)
        except VersionNotFoundError:
            if is_derived(version):
                raise
            # Dagster's own class wrote it, and it was not taken over: nothing is known of it.
            target.mkdir()
            try:
                self._storage.store.get_to_file(state_path(key, version), target / STATE)
            except ObjectNotFoundError:
                raise VersionNotFoundError(f"there is no version {version}", key=key) from None

    def _keep(self, key: str, version: str, fetched: Path) -> Path:
        """Move a restored folder to where it stays; what is there already is in use and stays."""
        with self._lock:
            place = self._own_folder() / folder_name(key) / version
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                shutil.move(fetched, place)
            return place

    def _own_folder(self) -> Path:
        if self._folder is None or self._process != os.getpid():
            self._process = os.getpid()
            self._folder = Path(tempfile.mkdtemp(prefix="defs-state-"))
            # Unlike `atexit`, it works in the children of `multiprocessing`, too.
            Finalize(None, shutil.rmtree, (self._folder, True), exitpriority=0)
        return self._folder


def _link(source: Path, target: Path) -> None:
    """Put `source` at `target`, in place of what is there: as a copy if it is a file."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    try:
        target.symlink_to(source, target_is_directory=True)
    except OSError:
        shutil.copytree(source, target)


def _hand_out_lasting_places() -> None:
    """Let Dagster give components the lasting place of a state, where it has one."""
    original: Any = DefinitionsLoadContext.state_path
    if hasattr(original, "__wrapped_by_defs_state__"):
        return

    @functools.wraps(original)
    @contextlib.contextmanager
    def state_path_of(self: Any, *args: Any, **kwargs: Any) -> Iterator[Path | None]:
        with original(self, *args, **kwargs) as path:
            yield _lasting_place.pop(path, path)

    state_path_of.__wrapped_by_defs_state__ = True  # type: ignore[attr-defined]
    DefinitionsLoadContext.state_path = state_path_of
