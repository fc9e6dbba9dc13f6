"""Size and sha256 of files: what everything that is kept, packed or published is compared by.

Imports little, like all that a build needs which finds nothing changed.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import IO

_CHUNK = 1 << 20
_WORTH_THREADS = 64 << 20
_MOST_THREADS = 8
"""Each of them holds a few pieces of a file in memory."""

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


class FileEntry(NamedTuple):
    """Size in bytes and sha256 (hexadecimal) of one file."""

    size: int
    sha256: str


def measure_stream(file: IO[bytes], copy: IO[bytes] | None = None) -> FileEntry:
    """Read an open file to its end, in pieces, and return what was read.

    Args:
        file: The file.
        copy: Receives the same content, if given.
    """
    digest = hashlib.sha256()
    size = 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if copy is not None:
            copy.write(chunk)
    return FileEntry(size, digest.hexdigest())


def measure(path: Path) -> FileEntry:
    """Return size and sha256 of the file at `path`."""
    with path.open("rb") as file:
        return measure_stream(file)


def measure_all(
    items: Iterable[_Item], measure_one: Callable[[_Item], _Found], size: int
) -> list[_Found]:
    """Measure many files; several at a time where there is much to read.

    Hashing and unpacking release the interpreter's lock.

    Args:
        items: What stands for the files.
        measure_one: Measures one of them; has to be safe in threads.
        size: About how many bytes they have together.
    """
    if size < _WORTH_THREADS:
        return [measure_one(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(measure_one, items))


def are_sound(files: Mapping[str, FileEntry], paths: Mapping[str, Path]) -> bool:
    """Whether every one of `files` is at its place in `paths`, as it was measured."""
    size = sum(entry.size for entry in files.values())
    try:
        found = measure_all([paths[name] for name in files], measure, size)
    except OSError:
        return False
    return found == list(files.values())
