"""State in an artifact, checked file by file against the manifest that came with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.layout import is_state
from hatch_defs_state.errors import ArtifactError, DefsStateError, advise, raise_all
from hatch_defs_state.storage import manifest as manifest_file
from hatch_defs_state.storage.generation import FOLDER_NAME, GITIGNORE, GITIGNORE_NAME, compare
from hatch_defs_state.storage.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hatch_defs_state.artifacts.archives import Archive


_HINT = "it was altered after it was built; build it anew, or get an unaltered copy"


@dataclass(frozen=True)
class VerifiedState:
    """State in an artifact that is complete and unaltered.

    Attributes:
        path: The artifact.
        folder: Path of the state folder in it.
        manifest: The manifest of the state.
        data: The manifest as it was read.
    """

    path: Path
    folder: str
    manifest: Manifest
    data: bytes


def state_folders(archive: Archive) -> list[str]:
    """Return the paths of the state folders in an archive, sorted."""
    return sorted({_state_folder(name) for name in archive.names if is_state(name)})


def verify_only_state(archive: Archive) -> VerifiedState:
    """Check the state of an artifact that has to have exactly one state folder.

    Raises:
        DefsStateError: It has none or several, or files are missing, altered, or not listed.
    """
    folders = state_folders(archive)
    if len(folders) != 1:
        many = f"has {len(folders)} state folders: {', '.join(folders)}"
        raise ArtifactError(
            f"{archive.path.name} {many if folders else 'carries no state'}",
            hint=None if folders else "is the hook's table in the project's pyproject.toml?",
        )
    return verify_state(archive, folders[0])


def verify_state(archive: Archive, folder: str) -> VerifiedState:
    """Check every file of one state folder against the manifest in it.

    Args:
        archive: The artifact.
        folder: Path of the state folder in it.

    Raises:
        DefsStateError: Files are missing, altered, not listed or there twice; all are named.
    """
    name = archive.path.name
    manifest_name = f"{folder}/{manifest_file.FILE_NAME}"
    prefix = f"{folder}/"
    inside = [each for each in archive.names if each.startswith(prefix)]
    if manifest_name not in inside:
        raise ArtifactError(
            f"{name} has state and no manifest: {manifest_name} is missing", hint=_HINT
        )
    data = archive.read(manifest_name)
    manifest = Manifest.parse(data, manifest_name)
    measured = archive.measure(inside)
    present = {each[len(prefix) :]: entry for each, entry in measured.items()}
    errors: list[DefsStateError] = [
        ArtifactError(f"{name}: {error.message}") for error in compare(manifest.files, present)
    ]
    errors.extend(_check_names(archive, inside, f"{folder}/{GITIGNORE_NAME}"))
    if errors:
        advise(errors[-1], _HINT)
    raise_all(errors)
    return VerifiedState(archive.path, folder, manifest, data)


def _check_names(archive: Archive, inside: Sequence[str], gitignore: str) -> list[DefsStateError]:
    duplicates = sorted(name for name, count in Counter(inside).items() if count > 1)
    errors: list[DefsStateError] = [
        ArtifactError(f"{archive.path.name}: {name} is in it twice") for name in duplicates
    ]
    if gitignore not in inside or archive.read(gitignore) != GITIGNORE:
        errors.append(
            ArtifactError(
                f"{archive.path.name}: {gitignore} is missing or altered; "
                "Dagster would try to write it into the installed package"
            )
        )
    return errors


def _state_folder(name: str) -> str:
    parts = PurePosixPath(name).parts
    depth = next(n for n, part in enumerate(parts) if part.startswith(FOLDER_NAME))
    return "/".join(parts[: depth + 1])
