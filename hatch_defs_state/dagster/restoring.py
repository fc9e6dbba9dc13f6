"""Versions on their way to the paths that Dagster names, and places that outlast its own.

Dagster removes the folder of a downloaded state as soon as definitions are built. The project of a
dbt component is needed when its assets run: of a state that is more than one file,
`build_defs_from_state` is given the place in the cache, which stays until the process ends.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import uuid
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from hatch_defs_state.errors import ObjectNotFoundError, VersionNotFoundError
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.storage.versioned.layout import state_path
from hatch_defs_state.storage.versioned.versions import STATE, is_derived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_defs_state.storage.versioned import VersionedStorage

_lasting_place: dict[Path, Path] = {}
"""For paths at which Dagster wants states, where they really are."""


class Restorer:
    """Restores versions of one store by way of the cache: what is there is not downloaded again.

    Args:
        storage: The store.
    """

    def __init__(self, storage: VersionedStorage) -> None:
        self._storage = storage
        _hand_out_lasting_places()

    @functools.cached_property
    def cache(self) -> VersionCache:
        """Where versions are on this machine."""
        return VersionCache()

    def restore(self, key: str, version: str, path: Path) -> None:
        """Restore a version at `path`, in place of what is there.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it is missing or was altered.
        """
        _lasting_place.pop(path, None)
        try:
            folder = self.cache.get(self._storage, key, version)
        except VersionNotFoundError:
            if is_derived(version):
                raise
            self._restore_unknown(key, version, path)
        else:
            _hand_out(folder, path)

    def restore_from_cache(self, key: str, version: str, lineage: str | None, path: Path) -> bool:
        """Restore a version without the store; return whether it is in the cache, unaltered.

        Args:
            key: The state key.
            version: The version.
            lineage: The store's.
            path: See `restore`.
        """
        _lasting_place.pop(path, None)
        folder = self.cache.find_all({key: version}, lineage=lineage).get(key)
        if folder is not None:
            _hand_out(folder, path)
        return folder is not None

    def _restore_unknown(self, key: str, version: str, path: Path) -> None:
        """Restore what Dagster's own class wrote, and nobody took over: its digest is not known."""
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            self._storage.store.get_to_file(state_path(key, version), partial)
            partial.replace(path)
        except ObjectNotFoundError:
            raise VersionNotFoundError(f"there is no version {version}", key=key) from None
        finally:
            partial.unlink(missing_ok=True)


def _hand_out(folder: Path, path: Path) -> None:
    """Put the state in `folder` at `path`, and its siblings beside it if that is their place."""
    is_writers_own = path.name == STATE and not any(path.parent.iterdir())
    _put(folder / STATE, path)
    if not is_writers_own:
        return
    siblings = [entry for entry in folder.iterdir() if entry.name != STATE]
    for sibling in siblings:
        _put(sibling, path.with_name(sibling.name))
    if siblings or (folder / STATE).is_dir():
        _lasting_place[path] = folder / STATE


def _put(source: Path, target: Path) -> None:
    """Put `source` at `target`, in place of what is there: a copy if it is a file, else a link."""
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
