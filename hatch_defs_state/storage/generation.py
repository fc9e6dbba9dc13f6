"""A generation on disk: `.local_defs_state` with one folder a key, sealed by a manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, ManifestError, StateError, raise_all
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import VERSIONS_FOLDER, Manifest, bundled_folder
from hatch_defs_state.storage.measure import (
    FileEntry,
    are_sound,
    measure,
    measure_all,
    measure_stream,
)
from hatch_defs_state.storage.names import (
    FOLDER_NAME,
    GITIGNORE,
    GITIGNORE_NAME,
    MANIFEST_NAME,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import BinaryIO

    from hatch_defs_state.errors import SourceLocation

    Take = Callable[[Path, FileEntry | None], FileEntry]

__all__ = [
    "FOLDER_NAME",
    "GITIGNORE",
    "GITIGNORE_NAME",
    "MANIFEST_NAME",
    "FilesBelow",
    "Generation",
    "are_sound",
    "beside",
    "compare",
    "copy",
    "is_whole",
    "measure",
    "read",
    "write",
]

_PAUSES = tuple(min(0.001 * 2**turn, 0.1) for turn in range(24))
"""Seconds between reads of a generation that is being replaced; about two in total."""


@dataclass(frozen=True)
class Generation:
    """A complete set of state, wherever its files lie.

    Attributes:
        manifest: The table of contents.
        files: For every path that the manifest lists, the file that holds its content.
    """

    manifest: Manifest
    files: Mapping[str, Path]


class FilesBelow(Mapping[str, Path]):
    """Files that lie below one folder, by their path in it.

    Args:
        folder: The folder.
        names: Their paths; kept as they are, so that thousands of files cost next to no memory.
    """

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._folder = folder
        self._names = names

    def __getitem__(self, name: str) -> Path:
        if name not in self._names:
            raise KeyError(name)
        return self._folder / name

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write(generation: Generation, folder: Path) -> None:
    """Write `generation` into the new folder `folder`, its manifest last.

    Raises:
        StateError: A file changed after it was judged.
        OSError: The disk refuses (full, read-only, …).
    """
    folder.mkdir(parents=True)
    (folder / GITIGNORE_NAME).write_bytes(GITIGNORE)
    for path, entry in generation.manifest.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy(generation.files[path], target) != entry:
            raise StateError(f"{path} changed after its writer had ended")
    (folder / MANIFEST_NAME).write_bytes(generation.manifest.to_bytes())


def copy(source: Path, target: Path) -> FileEntry:
    """Copy a file to the new file `target`, and return the size and sha256 of what was copied."""
    with source.open("rb") as reader, target.open("xb") as writer:
        return measure_stream(reader, writer)


def beside(folder: Path, suffix: str) -> Path:
    """Return the folder beside `folder` that a swap uses under the name `suffix`.

    While `old` exists, a swap is under way, or was when a crash cut it short.
    """
    # Beside a folder whose name the user chose, `out.old` may well be the user's own.
    mark = "" if folder.name == FOLDER_NAME else "defs-state-"
    return folder.with_name(f"{folder.name}.{mark}{suffix}")


def _open_manifest(folder: Path) -> BinaryIO:
    path = folder / MANIFEST_NAME
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise ManifestError(
            f"{folder} has no {MANIFEST_NAME}: no complete generation is there"
        ) from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def read(folder: Path, take: Take | None = None) -> Generation:
    """Read the generation in `folder` and check every file against the manifest.

    When another generation takes its place meanwhile, that one is read instead: what is returned
    was there as a whole, and still is when this returns.

    Args:
        folder: Where it is.
        take: Reads a file, of which the manifest says what is given as well, and returns what it
            has read. It is called by several threads, perhaps more than once for a file. By default
            files are measured.

    Raises:
        DefsStateError: The manifest is missing or damaged, or files are missing, altered, or not
            listed; all of them are named.
    """
    for pause in _PAUSES:
        generation = _read_unless_replaced(folder, take)
        if generation is not None:
            return generation
        time.sleep(pause)
    raise ManifestError(
        f"{folder} was being replaced whenever it was read",
        hint="wait for the refresh to end; if it was killed, run `defs-state refresh`",
    )


def is_whole(folder: Path) -> bool:
    """Whether `read` would accept what is in `folder` right now, without waiting for a swap."""
    try:
        return _read_unless_replaced(folder) is not None
    except DefsStateError:
        return False


def _read_unless_replaced(folder: Path, take: Take | None = None) -> Generation | None:
    try:
        file = _open_manifest(folder)
    except ManifestError as error:
        if isinstance(error.__cause__, FileNotFoundError) and _is_swapped(folder):
            return None
        raise
    # While the manifest is open, no other file can be given its inode: the same inode at the same
    # path is the same generation.
    with file:
        try:
            generation = _verify(folder, Manifest.parse(file.read(), file.name), take)
        except DefsStateError:
            if _is_current(file):
                raise
            return None
        return generation if _is_current(file) else None


def _is_swapped(folder: Path) -> bool:
    return beside(folder, "old").exists() or (folder / MANIFEST_NAME).exists()


def _is_current(file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _verify(folder: Path, manifest: Manifest, take: Take | None) -> Generation:
    known = manifest.files
    paths = [file.relative_to(folder).as_posix() for file in _walk_files(folder)]
    unreadable: dict[str, DefsStateError] = {}

    def look(path: str) -> FileEntry | None:
        try:
            return take(folder / path, known.get(path)) if take else measure(folder / path)
        except OSError as error:
            unreadable[path] = StateError(f"{path} cannot be read: {error.strerror}")
            return None

    size = sum(entry.size for entry in known.values())
    measured = zip(paths, measure_all(paths, look, size), strict=True)
    present = {path: entry for path, entry in measured if entry is not None}
    expected = {path: entry for path, entry in known.items() if path not in unreadable}
    raise_all([*unreadable.values(), *compare(expected, present, manifest)])
    return Generation(manifest, FilesBelow(folder, expected))


def compare(
    expected: Mapping[str, FileEntry],
    present: Mapping[str, FileEntry],
    manifest: Manifest | None = None,
) -> list[DefsStateError]:
    """Return one error for every file that is missing, altered or not listed.

    Args:
        expected: Files that a manifest lists, by path below the state folder.
        present: Files that are there, by the same kind of path; the manifest itself and
            `.gitignore` are not counted.
        manifest: Says which key a file belongs to, and where that is declared, if errors shall.
    """
    owners = _owners(manifest) if manifest else {}
    errors: list[DefsStateError] = []
    for path in sorted(expected.keys() | present.keys()):
        if path in {MANIFEST_NAME, GITIGNORE_NAME}:
            continue
        if path not in present:
            message = f"{path} is in the manifest and missing"
        elif path not in expected:
            message = f"{path} is not in the manifest"
        elif present[path] != expected[path]:
            message = (
                f"{path} differs from the manifest: {_show(present[path])} "
                f"instead of {_show(expected[path])}"
            )
        else:
            continue
        folder, _, rest = path.partition("/")
        if folder == VERSIONS_FOLDER:
            folder = f"{folder}/{rest.partition('/')[0]}"
        key, source = owners.get(folder, (None, None))
        errors.append(StateError(message, key=key, location=source))
    return errors


def _owners(manifest: Manifest) -> dict[str, tuple[str, SourceLocation | None]]:
    """Return key and declaration by the folder that the key's files are in."""
    owners = {folder_name(key): (key, entry.source) for key, entry in manifest.keys.items()}
    owners |= {
        bundled_folder(key): (key, entry.source) for key, entry in manifest.elsewhere.items()
    }
    return {**owners}


def _show(entry: FileEntry) -> str:
    return f"{entry.size} bytes, sha256 {entry.sha256[:12]}…"


def _walk_files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)
