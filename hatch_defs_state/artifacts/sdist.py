"""State in source archives: pinned there, so that whatever is built from one uses it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.archives import TarArchive, reading
from hatch_defs_state.artifacts.verify import VerifiedState, verify_only_state
from hatch_defs_state.errors import ArtifactError, DefsStateError, SourceLocation, advise
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage import manifest as manifest_file

if TYPE_CHECKING:
    from hatch_defs_state.artifacts.archives import Archive
    from hatch_defs_state.storage.generation import Generation

PIN_NAME = "defs-state-pin.json"
"""Lies at the root of a source archive that carries state."""

_SCHEMA = 1
_HINT = (
    f"get an unaltered copy of the source archive; to build with new state, remove {PIN_NAME} "
    "and the state folder that it names"
)


@dataclass(frozen=True)
class Pin:
    """Which state belongs to a source archive.

    Attributes:
        folder: Path of the state folder in the archive.
        manifest_sha256: Sha256 of the manifest in it, in hexadecimal.
    """

    folder: str
    manifest_sha256: str

    @classmethod
    def of(cls, folder: str, manifest: bytes) -> Pin:
        """Return the pin of the state in `folder` with this manifest."""
        return cls(folder, hashlib.sha256(manifest).hexdigest())

    def to_bytes(self) -> bytes:
        """Serialise as JSON."""
        document = {
            "schema": _SCHEMA,
            "folder": self.folder,
            "manifest_sha256": self.manifest_sha256,
        }
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, where: str = PIN_NAME) -> Pin:
        """Read what `to_bytes` wrote.

        Raises:
            ArtifactError: It is something else, or names a folder outside of the archive.
        """
        try:
            document = json.loads(data)
            if document["schema"] == _SCHEMA and _is_inside(document["folder"]):
                return cls(document["folder"], str(document["manifest_sha256"]))
        except (ValueError, TypeError, KeyError):
            pass
        raise ArtifactError(
            "this does not say which state belongs to the source archive",
            location=SourceLocation(where),
            hint=_HINT,
        )


def _is_inside(folder: str) -> bool:
    path = PurePosixPath(folder)
    return bool(path.parts) and ".." not in path.parts and not path.is_absolute()


def find_pin(root: Path) -> Pin | None:
    """Return the pin of an unpacked source archive; `None` where there is none.

    Raises:
        ArtifactError: It is damaged.
    """
    try:
        return Pin.parse((root / PIN_NAME).read_bytes())
    except FileNotFoundError:
        return None


def read_pinned(root: Path, pin: Pin) -> Generation:
    """Return the state of an unpacked source archive, checked file by file.

    Raises:
        DefsStateError: Files are missing, altered or not listed, or the manifest is not the one
            that the archive was made with.
    """
    folder = root / pin.folder
    try:
        generation = generations.read(folder)
    except DefsStateError as error:
        advise(error, _HINT)
        raise
    _check_pin(pin, (folder / manifest_file.FILE_NAME).read_bytes(), "this source archive")
    return generation


def verify_sdist(path: Path) -> VerifiedState:
    """Check every file of state in the source archive at `path`.

    Raises:
        DefsStateError: It is no source archive, has no state or several, or files are missing,
            altered, or not listed; all of them are named.
    """
    with reading(path, "source archive"):
        try:
            with tarfile.open(path) as file:
                return check_sdist(TarArchive(path, file))
        except tarfile.TarError as error:
            raise ValueError(error) from error


def check_sdist(archive: Archive) -> VerifiedState:
    """Check the state in a source archive, packed or not; see `verify_sdist`.

    Raises:
        DefsStateError: As there.
    """
    name = archive.path.name
    verified = verify_only_state(archive)
    if PIN_NAME not in archive.names:
        raise ArtifactError(f"{name} has state and no {PIN_NAME}", hint=_HINT)
    pin = Pin.parse(archive.read(PIN_NAME))
    if pin.folder != verified.folder:
        raise ArtifactError(
            f"{name}: {PIN_NAME} names {pin.folder}, its state is in {verified.folder}"
        )
    _check_pin(pin, verified.data, name)
    return verified


def _check_pin(pin: Pin, manifest: bytes, what: str) -> None:
    if Pin.of(pin.folder, manifest) != pin:
        raise ArtifactError(
            f"{what} was made with another manifest than the one in {pin.folder}", hint=_HINT
        )
