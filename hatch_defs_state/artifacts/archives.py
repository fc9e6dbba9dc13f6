"""Reading what was built, whatever it is packed as: names, contents and measures of its files."""

from __future__ import annotations

import os
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hatch_defs_state.errors import ArtifactError
from hatch_defs_state.storage.measure import FileEntry, measure, measure_stream

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What reading a damaged archive may raise, in these classes or below them."""


class Archive(Protocol):
    """Files below one root, by path with forward slashes."""

    @property
    def path(self) -> Path:
        """Where the archive is."""

    @property
    def names(self) -> Sequence[str]:
        """Everything but folders; a path that is there twice is listed twice."""

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""

    def measure(self, names: Sequence[str]) -> dict[str, FileEntry]:
        """Return size and sha256 of files."""


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what is raised while the archive at `path` is read into an `ArtifactError`.

    Args:
        path: The archive.
        kind: What it should be, for the message: "wheel", "source archive", …
    """
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ArtifactError(f"{path} is a folder, not a {kind}") from None
    except _DAMAGE as error:
        raise ArtifactError(f"{path} is no readable {kind}: {error}") from None


class TarArchive:
    """A tar file whose files lie below one folder, which the names leave out."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self._members = [member for member in archive.getmembers() if not member.isdir()]
        tops = {member.name.split("/", 1)[0] for member in self._members}
        if len(tops) != 1:
            raise ValueError(f"it has {len(tops)} top folders instead of one")
        self._top = tops.pop()
        self.names = [member.name[len(self._top) + 1 :] for member in self._members]

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        with self._open(self._archive.getmember(f"{self._top}/{name}")) as file:
            return file.read()

    def measure(self, names: Sequence[str]) -> dict[str, FileEntry]:
        """Measure files in the order of the archive: going back means unpacking it anew."""
        wanted = set(names)
        found: dict[str, FileEntry] = {}
        for name, member in zip(self.names, self._members, strict=True):
            if name in wanted:
                with self._open(member) as file:
                    found[name] = measure_stream(file)
        return found

    def _open(self, member: tarfile.TarInfo) -> IO[bytes]:
        file = self._archive.extractfile(member) if member.isfile() else None
        if file is None:
            raise ValueError(f"{member.name} is a link or a device")
        return file


class FolderArchive:
    """An unpacked artifact."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = sorted(
            os.path.relpath(os.path.join(parent, name), path).replace(os.sep, "/")  # noqa: PTH118
            for parent, _, names in os.walk(path)
            for name in names
        )

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        return (self.path / name).read_bytes()

    def measure(self, names: Sequence[str]) -> dict[str, FileEntry]:
        """Return size and sha256 of files."""
        return {name: measure(self.path / name) for name in names}
