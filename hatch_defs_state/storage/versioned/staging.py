"""A state on its way into the store: measured, and with the name of its version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError, StorageError, VersionConflictError
from hatch_defs_state.storage.generation import measure
from hatch_defs_state.storage.versioned.layout import is_marker, require_key, require_version
from hatch_defs_state.storage.versioned.objects import Source
from hatch_defs_state.storage.versioned.versions import (
    VersionManifest,
    collect,
    derive,
    is_derived,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Staged:
    """A state that is about to be stored.

    Attributes:
        manifest: What it consists of.
        sources: The files that its objects are made from, by path of the object.
    """

    manifest: VersionManifest
    sources: dict[str, Source]


def stage(key: str, path: Path, version: str | None = None) -> Staged:
    """Measure a state and name its version.

    Args:
        key: The state key.
        path: The key's folder, or a file that is the state itself.
        version: The identifier, if the caller has one; else it is derived from the content.

    Raises:
        DefsStateError: The key, the version or the state is not acceptable.
    """
    require_key(key)
    try:
        found = collect(key, path)
        files = {name: measure(file) for name, file in found.items()}
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror or error}", key=key) from error
    derived = derive(key, files)
    if version is not None:
        _require_own_form(key, version, derived)
    manifest = VersionManifest(key, version or derived, files)
    return Staged(
        manifest,
        {manifest.object_of(name): Source(file, files[name]) for name, file in found.items()},
    )


def _require_own_form(key: str, version: str, derived: str) -> None:
    require_version(key, version)
    if is_marker(version):
        raise StorageError(f"the version {version} stands for no content", key=key)
    if is_derived(version) and version != derived:
        raise VersionConflictError(
            f"the version {version} has the form of those that follow from the content, "
            f"and this content gives {derived}",
            key=key,
        )
