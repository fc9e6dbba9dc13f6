"""Whether files still are what was checked, without reading them again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hatch_defs_state.storage.generation import measure

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.measure import FileEntry


class _Signature(NamedTuple):
    """What changes about a file when its content does."""

    size: int
    modified: int
    changed: int
    inode: int


_verified: dict[str, _Signature] = {}
"""Files that this process has compared with their digests, as they were then."""


def is_sound(path: Path, entry: FileEntry) -> bool:
    """Whether the file has the size and digest of `entry`.

    It is read once in each process, and again when its size, its times or its identity changed.
    """
    try:
        before = _signature(path)
        if before.size != entry.size:
            return False
        if _verified.get(_fact(path, entry)) == before:
            return True
        if measure(path) != entry or _signature(path) != before:
            return False
    except OSError:
        return False
    _verified[_fact(path, entry)] = before
    return True


def remember(path: Path, entry: FileEntry) -> None:
    """Take a file for checked: it was compared with `entry` when it was made."""
    _verified[_fact(path, entry)] = _signature(path)


def _fact(path: Path, entry: FileEntry) -> str:
    return f"{entry.sha256}:{path}"


def _signature(path: Path) -> _Signature:
    facts = path.stat()
    return _Signature(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
