"""A generation on disk: `.local_defs_state` with one folder a key, sealed by a manifest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, ManifestError, StateError, raise_all
from hatch_defs_state.storage import manifest as manifest_file
from hatch_defs_state.storage.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER_NAME = ".local_defs_state"
MANIFEST_NAME = manifest_file.FILE_NAME
GITIGNORE_NAME = ".gitignore"
GITIGNORE = b"*\n*/\n.*"
"""What `get_local_defs_state_dir` in `dagster.components.utils.project_paths` writes.

Dagster writes it whenever it is absent, also while it only reads: a read-only installation must
bring it along."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Generation:
    """A complete set of state, wherever its files lie.

    Attributes:
        manifest: The table of contents.
        files: For every path that the manifest lists, the file that holds its content.
    """

    manifest: Manifest
    files: Mapping[str, Path]


def measure(path: Path) -> FileEntry:
    """Return size and sha256 of the file at `path`, reading it in pieces."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(size=size, sha256=digest.hexdigest())


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
        if _copy(generation.files[path], target) != entry:
            raise StateError(f"{path} changed after its writer had ended")
    (folder / manifest_file.FILE_NAME).write_bytes(generation.manifest.to_bytes())


def _copy(source: Path, target: Path) -> FileEntry:
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
    return FileEntry(size=size, sha256=digest.hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the generation in `folder`.

    Raises:
        ManifestError: There is none, or it is damaged.
    """
    path = folder / manifest_file.FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(
            f"{folder} has no {manifest_file.FILE_NAME}: no complete generation is there",
            hint="run `defs-state refresh`",
        ) from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    return Manifest.parse(data, str(path))


def read(folder: Path) -> Generation:
    """Read the generation in `folder` and check every file against the manifest.

    Raises:
        DefsStateError: The manifest is missing or damaged, or files are missing, altered, or not
            listed; all of them are named.
    """
    manifest = read_manifest(folder)
    expected = manifest.files
    present = {path.relative_to(folder).as_posix(): path for path in _walk_files(folder)}
    raise_all(compare(expected, {path: measure(file) for path, file in present.items()}))
    return Generation(manifest, {path: folder / path for path in expected})


def compare(
    expected: Mapping[str, FileEntry], present: Mapping[str, FileEntry]
) -> list[DefsStateError]:
    """Return one error for every file that is missing, altered or not listed.

    Args:
        expected: Files that a manifest lists, by path below the state folder.
        present: Files that are there, by the same kind of path; the manifest itself and
            `.gitignore` are not counted.
    """
    errors: list[DefsStateError] = []
    for path in sorted(expected.keys() | present.keys()):
        if path in {manifest_file.FILE_NAME, GITIGNORE_NAME}:
            continue
        if path not in present:
            errors.append(StateError(f"{path} is in the manifest and missing"))
        elif path not in expected:
            errors.append(StateError(f"{path} is not in the manifest"))
        elif present[path] != expected[path]:
            errors.append(
                StateError(
                    f"{path} differs from the manifest: {_show(present[path])} "
                    f"instead of {_show(expected[path])}"
                )
            )
    return errors


def _show(entry: FileEntry) -> str:
    return f"{entry.size} bytes, sha256 {entry.sha256[:12]}…"


def _walk_files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)
