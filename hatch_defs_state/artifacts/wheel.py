"""Reading a built wheel back: the state in it, checked file by file."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hatch_defs_state.artifacts.bundle import METADATA_PATH
from hatch_defs_state.artifacts.layout import is_state
from hatch_defs_state.errors import ArtifactError, DefsStateError, raise_all
from hatch_defs_state.storage import manifest as manifest_file
from hatch_defs_state.storage.generation import FOLDER_NAME, GITIGNORE, GITIGNORE_NAME, compare
from hatch_defs_state.storage.manifest import FileEntry, Manifest

_CHUNK = 1 << 20
_WORTH_THREADS = 64 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What reading a damaged archive may raise, in these classes or below them."""


@dataclass(frozen=True)
class VerifiedWheel:
    """A wheel whose state is complete and unaltered.

    Attributes:
        path: The wheel.
        folder: Path of the state folder in it.
        manifest: The manifest of the state.
    """

    path: Path
    folder: str
    manifest: Manifest


def verify_wheel(path: Path) -> VerifiedWheel:
    """Check every file of state in the wheel at `path` against the manifest in it.

    Raises:
        DefsStateError: It is no wheel, has no state or several, or files are missing, altered, or
            not listed; all of them are named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _verify(path, archive)
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ArtifactError(f"{path} is a folder, not a wheel") from None
    except _DAMAGE as error:
        raise ArtifactError(f"{path} is no readable wheel: {error}") from None


def _verify(path: Path, archive: zipfile.ZipFile) -> VerifiedWheel:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    folders = sorted({_state_folder(name) for name in names if is_state(name)})
    if len(folders) != 1:
        many = f"has {len(folders)} state folders: {', '.join(folders)}"
        raise ArtifactError(
            f"{path.name} {many if folders else 'carries no state'}",
            hint=None if folders else "is the hook's table in the project's pyproject.toml?",
        )
    folder = folders[0]
    manifest_name = f"{folder}/{manifest_file.FILE_NAME}"
    if manifest_name not in names:
        raise ArtifactError(f"{path.name} has state and no manifest: {manifest_name} is missing")
    data = archive.read(manifest_name)
    manifest = Manifest.parse(data, manifest_name)
    prefix = f"{folder}/"
    measured = _measure_all(path, archive, [name for name in names if name.startswith(prefix)])
    present = {name[len(prefix) :]: entry for name, entry in measured.items()}
    errors: list[DefsStateError] = [
        ArtifactError(f"{path.name}: {error.message}") for error in compare(manifest.files, present)
    ]
    errors.extend(_check_companions(path, archive, names, folder, data))
    raise_all(errors)
    return VerifiedWheel(path, folder, manifest)


def _check_companions(
    path: Path, archive: zipfile.ZipFile, names: list[str], folder: str, manifest: bytes
) -> list[DefsStateError]:
    errors: list[DefsStateError] = []
    duplicates = sorted({name for name in names if is_state(name) and names.count(name) > 1})
    errors.extend(ArtifactError(f"{path.name}: {name} is in it twice") for name in duplicates)
    gitignore = f"{folder}/{GITIGNORE_NAME}"
    if gitignore not in names or archive.read(gitignore) != GITIGNORE:
        errors.append(
            ArtifactError(
                f"{path.name}: {gitignore} is missing or altered; "
                "Dagster would try to write it into the installed package"
            )
        )
    copies = [name for name in names if name.endswith(f".dist-info/extra_metadata/{METADATA_PATH}")]
    if [archive.read(name) for name in copies] != [manifest]:
        errors.append(
            ArtifactError(f"{path.name}: the copy of the manifest in its metadata is not the same")
        )
    return errors


def _state_folder(name: str) -> str:
    parts = PurePosixPath(name).parts
    depth = next(n for n, part in enumerate(parts) if part.startswith(FOLDER_NAME))
    return "/".join(parts[: depth + 1])


def _measure_all(path: Path, archive: zipfile.ZipFile, names: list[str]) -> dict[str, FileEntry]:
    """Measure files of an archive; several at a time where there is much to unpack."""
    if sum(archive.getinfo(name).file_size for name in names) < _WORTH_THREADS:
        return {name: _measure(archive, name) for name in names}
    from concurrent.futures import ThreadPoolExecutor

    def measure(name: str) -> FileEntry:
        # Unpacking and hashing release the interpreter's lock; a shared archive would have its own.
        with zipfile.ZipFile(path) as own:
            return _measure(own, name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(measure, names), strict=True))


def _measure(archive: zipfile.ZipFile, name: str) -> FileEntry:
    digest = hashlib.sha256()
    size = 0
    with archive.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(size=size, sha256=digest.hexdigest())
