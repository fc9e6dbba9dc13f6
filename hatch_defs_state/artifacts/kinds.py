"""Verifying an artifact without being told what it is."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.pex import is_pex, verify_pex
from hatch_defs_state.artifacts.sdist import verify_sdist
from hatch_defs_state.artifacts.verify import VerifiedState
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.errors import ArtifactError, DefsStateError, advise
from hatch_defs_state.storage import generation as generations

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Verified:
    """An artifact whose state is complete and unaltered.

    Attributes:
        kind: `wheel`, `source archive`, `PEX` or `state folder`.
        states: The state of each project in it.
    """

    kind: str
    states: tuple[VerifiedState, ...]


def verify(path: Path) -> Verified:
    """Check every file of state in a wheel, a source archive, a PEX or a state folder.

    Raises:
        DefsStateError: It is none of these, has no state, or files are missing, altered, or not
            listed.
    """
    if is_pex(path):
        return Verified("PEX", verify_pex(path).states)
    if path.is_dir():
        return Verified("state folder", (_read_folder(path),))
    if path.name.endswith((".tar.gz", ".tgz")):
        return Verified("source archive", (verify_sdist(path),))
    if path.suffix == ".whl" or not path.exists() or zipfile.is_zipfile(path):
        return Verified("wheel", (verify_wheel(path),))
    if tarfile.is_tarfile(path):
        return Verified("source archive", (verify_sdist(path),))
    raise ArtifactError(f"{path} is no wheel, source archive, PEX or state folder")


def _read_folder(path: Path) -> VerifiedState:
    if not (path / generations.MANIFEST_NAME).exists() and path.name != generations.FOLDER_NAME:
        raise ArtifactError(
            f"{path} is neither the folder of a PEX nor a state folder",
            hint=f"a state folder has a {generations.MANIFEST_NAME}; in a project's tree it is "
            f"`<package>/defs/{generations.FOLDER_NAME}`",
        )
    try:
        manifest = generations.read(path).manifest
    except DefsStateError as error:
        advise(error, "run `defs-state refresh`, or get an unaltered copy of the folder")
        raise
    return VerifiedState(path, ".", manifest, manifest.to_bytes())
