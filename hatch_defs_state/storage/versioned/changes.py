"""What differs between two commits, and between two versions of a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DamagedObjectError
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.versioned.layout import is_marker, state_path
from hatch_defs_state.storage.versioned.versions import STATE, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.versioned.commits import Commit
    from hatch_defs_state.storage.versioned.content import Content
    from hatch_defs_state.storage.versioned.objects import ObjectStore


@dataclass(frozen=True)
class Change:
    """A key whose version differs.

    Attributes:
        key: The state key.
        old: The version before; `None` when the key was not there.
        new: The version after; `None` when the key is gone.
    """

    key: str
    old: str | None
    new: str | None

    @property
    def kind(self) -> str:
        """`added`, `changed` or `removed`."""
        return _kind(self.old, self.new)


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two versions of a key.

    Attributes:
        path: Its path below the key's folder.
        old_size: Its size before, in bytes; `None` when it was not there.
        new_size: Its size after, in bytes; `None` when it is gone.
    """

    path: str
    old_size: int | None
    new_size: int | None

    @property
    def kind(self) -> str:
        """`added`, `changed` or `removed`."""
        return _kind(self.old_size, self.new_size)


def compare(old: Commit, new: Commit) -> tuple[Change, ...]:
    """Return the keys whose versions differ, sorted."""
    pairs = (
        Change(key, old.version_of(key), new.version_of(key))
        for key in sorted(old.versions.keys() | new.versions.keys())
    )
    return tuple(change for change in pairs if change.old != change.new)


def compare_files(store: ObjectStore, content: Content, change: Change) -> tuple[FileChange, ...]:
    """Return the files that differ between the two versions of a key, sorted.

    States are read only where manifests do not tell whether they differ.

    Raises:
        VersionNotFoundError: Nothing is stored for a version.
        DamagedObjectError: What is stored for one is missing or was altered.
    """
    versions = [version for version in (change.old, change.new) if version is not None]
    # Of two plain versions the states differ, or they would be the same version.
    sizes_do = all(is_plain(version) or is_marker(version) for version in versions)
    old, new = (
        _files(store, content, change.key, version, sizes_do=sizes_do)
        for version in (change.old, change.new)
    )
    return tuple(
        FileChange(path, _size(old.get(path)), _size(new.get(path)))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _files(
    store: ObjectStore, content: Content, key: str, version: str | None, *, sizes_do: bool
) -> Mapping[str, FileEntry]:
    if version is None or is_marker(version):
        return {}
    if not sizes_do:
        return content.describe(key, version).files
    path = state_path(key, version)
    size = store.size(path)
    if size is None:
        raise DamagedObjectError(
            f"the version {version} is missing: there is no {path}",
            object_path=path,
            key=key,
            version=version,
        )
    return {STATE: FileEntry(size, version)}


def _size(entry: FileEntry | None) -> int | None:
    return None if entry is None else entry.size


def _kind(old: object, new: object) -> str:
    if old is None:
        return "added"
    return "removed" if new is None else "changed"
