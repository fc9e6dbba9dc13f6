"""Reading a PEX back: the state in its wheels and its sources, whatever its layout.

A zipapp is one zip file with every wheel unpacked below `.deps`; a loose PEX is the same as a
folder; a packed one is a folder whose wheels are zip files (`pex/layout.py`).
"""

from __future__ import annotations

import json
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.archives import FolderArchive, reading
from hatch_defs_state.artifacts.verify import VerifiedState, state_folders, verify_state
from hatch_defs_state.artifacts.wheel import check_wheel
from hatch_defs_state.artifacts.zips import ZipArchive
from hatch_defs_state.errors import ArtifactError, DefsStateError, raise_all
from hatch_defs_state.storage.generation import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.artifacts.archives import Archive
    from hatch_defs_state.storage.measure import FileEntry

INFO_NAME = "PEX-INFO"
_WHEELS = ".deps/"
_PEX_OWN = (_WHEELS, ".bootstrap/", "__pex__/")


@dataclass(frozen=True)
class PexFile:
    """A PEX whose state is complete and unaltered.

    Attributes:
        path: The PEX file, or the folder of one.
        layout: `zipapp`, `packed` or `loose`.
        states: The state of each project in it, sorted by folder.
        bound: Variables that are set to the paths of resources when it boots, by name. It refuses
            to boot without one of these resources.
    """

    path: Path
    layout: str
    states: tuple[VerifiedState, ...]
    bound: Mapping[str, str]

    def boots_without(self, state: VerifiedState) -> bool:
        """Whether the PEX would start when it had lost this state."""
        return manifest_in(state.folder) not in self.bound.values()


def manifest_in(folder: str) -> str:
    """Return the path of the manifest of a state folder."""
    return f"{folder}/{MANIFEST_NAME}"


def is_pex(path: Path) -> bool:
    """Whether there is a PEX of any layout at `path`."""
    if path.is_dir():
        return (path / INFO_NAME).is_file()
    try:
        with zipfile.ZipFile(path) as file:
            return INFO_NAME in file.NameToInfo
    except (OSError, zipfile.BadZipFile):
        return False


def verify_pex(path: Path) -> PexFile:
    """Check every file of state in the PEX at `path` against the manifests in it.

    Raises:
        DefsStateError: It is no PEX, has no state, or files are missing, altered, or not listed;
            all of them are named.
    """
    states: list[VerifiedState] = []
    errors: list[DefsStateError] = []
    with reading(path, "PEX"), ExitStack() as stack:
        archive: Archive
        if path.is_dir():
            archive = FolderArchive(path)
        else:
            archive = ZipArchive(path, stack.enter_context(zipfile.ZipFile(path)))
        if INFO_NAME not in archive.names:
            raise ArtifactError(f"{path} is no PEX: it has no {INFO_NAME}")
        bound = json.loads(archive.read(INFO_NAME)).get("bind_resource_paths", {})
        for part in _parts(archive, stack):
            try:
                states.extend(_verify(part))
            except DefsStateError as error:
                errors.append(error)
        packed = any(name.count("/") == 1 for name in archive.names if name.startswith(_WHEELS))
    raise_all(errors)
    if not states:
        raise ArtifactError(
            f"{path.name} carries no state",
            hint="build it with `defs-state pex`, or from wheels that carry some",
        )
    layout = ("packed" if packed else "loose") if path.is_dir() else "zipapp"
    return PexFile(path, layout, tuple(sorted(states, key=lambda each: each.folder)), bound)


@dataclass(frozen=True)
class _Part:
    """What lies below a prefix in an archive, or beside the PEX's own files."""

    archive: Archive
    prefix: str
    names: Sequence[str]

    @property
    def path(self) -> Path:
        return self.archive.path / self.prefix if self.prefix else self.archive.path

    def read(self, name: str) -> bytes:
        return self.archive.read(self.prefix + name)

    def measure(self, names: Sequence[str]) -> dict[str, FileEntry]:
        found = self.archive.measure([self.prefix + name for name in names])
        return {name[len(self.prefix) :]: entry for name, entry in found.items()}


def _parts(archive: Archive, stack: ExitStack) -> Iterator[Archive]:
    """Yield the sources of a PEX, then its wheels."""
    yield _Part(archive, "", [name for name in archive.names if not name.startswith(_PEX_OWN)])
    wheels: dict[str, list[str]] = {}
    for name in archive.names:
        if name.startswith(_WHEELS):
            wheel, _, inner = name[len(_WHEELS) :].partition("/")
            wheels.setdefault(wheel, []).append(inner)
    for wheel, names in sorted(wheels.items()):
        if names == [""]:
            file = archive.path / _WHEELS / wheel
            yield ZipArchive(file, stack.enter_context(zipfile.ZipFile(file)))
        else:
            yield _Part(archive, f"{_WHEELS}{wheel}/", names)


def _verify(part: Archive) -> Iterator[VerifiedState]:
    folders = state_folders(part)
    if folders and part.path.name.endswith(".whl"):
        yield check_wheel(part)
    else:
        yield from (verify_state(part, folder) for folder in folders)
