"""Reading a built wheel back: the state in it, and the copy of the manifest in its metadata."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.archives import reading
from hatch_defs_state.artifacts.verify import verify_only_state
from hatch_defs_state.artifacts.zips import ZipArchive
from hatch_defs_state.errors import ArtifactError
from hatch_defs_state.storage.names import METADATA_PATH

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.artifacts.archives import Archive
    from hatch_defs_state.artifacts.verify import VerifiedState


def verify_wheel(path: Path) -> VerifiedState:
    """Check every file of state in the wheel at `path` against the manifest in it.

    Raises:
        DefsStateError: It is no wheel, has no state or several, or files are missing, altered, or
            not listed; all of them are named.
    """
    with reading(path, "wheel"), zipfile.ZipFile(path) as file:
        return check_wheel(ZipArchive(path, file))


def check_wheel(archive: Archive) -> VerifiedState:
    """Check the state in a wheel, packed or not; see `verify_wheel`.

    Raises:
        DefsStateError: As there.
    """
    verified = verify_only_state(archive)
    suffix = f".dist-info/extra_metadata/{METADATA_PATH}"
    copies = [archive.read(name) for name in archive.names if name.endswith(suffix)]
    if copies != [verified.data]:
        raise ArtifactError(
            f"{archive.path.name}: the copy of the manifest in its metadata is not the same"
        )
    return verified
