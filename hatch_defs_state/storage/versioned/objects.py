"""What versioned storage needs from an object store, and the choice of one by its URL."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from hatch_defs_state.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    SettingsError,
    StateError,
)
from hatch_defs_state.storage.measure import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHUNK = 1 << 20
"""Bytes that are read, hashed and written at a time."""

REMOTE_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
_CREATE_ATTEMPTS = 5


@dataclass(frozen=True)
class Source:
    """A local file that is to be stored.

    Attributes:
        file: Where it is.
        entry: The size and digest that it must have when it is read.
    """

    file: Path
    entry: FileEntry

    def read(self, chunk: int = CHUNK) -> Iterator[bytes]:
        """Yield the file in pieces of `chunk` bytes.

        Raises:
            StateError: After the last piece, if the size or digest is not the expected one; or the
                file cannot be read.
        """
        digest = Digest()
        try:
            with self.file.open("rb") as file:
                while data := file.read(chunk):
                    digest.update(data)
                    yield data
        except OSError as error:
            raise StateError(f"{self.file} cannot be read: {error.strerror or error}") from error
        if digest.entry() != self.entry:
            raise StateError(f"{self.file} changed while it was stored")


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a listing shows it.

    Attributes:
        path: Its path below the base, with forward slashes.
        size: Its size in bytes.
        modified: When it was last written, in seconds since the epoch, by the store's clock.
    """

    path: str
    size: int
    modified: float


class ObjectStore(ABC):
    """Named byte strings below one base, of which some are created once and never change.

    Paths are relative, with forward slashes. What a method has written is durable, and visible to
    every other process, when the method returns.

    Attributes:
        url: Names the store in messages; holds no credentials.
        creates_in_one_step: Whether it is known that `create` never succeeds for two at a time.
    """

    url: str
    creates_in_one_step = False

    @abstractmethod
    def create(self, path: str, data: bytes) -> None:
        """Create a small object, if none is there.

        A request that was repeated after its answer got lost may report the caller's own object as
        existing, and a store may report a conflict with a request that fails later on;
        `create_once` sorts these cases out.

        Raises:
            ObjectExistsError: There is one; it is unchanged.
        """

    @abstractmethod
    def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Create or overwrite a small object.

        Args:
            path: Path of the object.
            data: Its new content.
            durable: Whether it has to outlive a power failure.
        """

    @abstractmethod
    def put_files(self, files: Mapping[str, Source]) -> frozenset[str]:
        """Store immutable content; none of it appears under its path before it is complete.

        Returns:
            The paths at which content of that size was there before; nothing was written to them.

        Raises:
            VersionConflictError: Other content is there.
            StateError: A file has no longer the size and digest that it should have.
        """

    @abstractmethod
    def get(self, path: str) -> bytes:
        """Return a small object.

        Raises:
            ObjectNotFoundError: There is none.
        """

    @abstractmethod
    def stream(self, path: str) -> Iterator[bytes]:
        """Yield an object in pieces.

        Raises:
            ObjectNotFoundError: There is none.
        """

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Return the size of an object in bytes, or `None` when there is none."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder, in no order; `""` means all."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""

    def get_to_file(self, path: str, target: Path) -> FileEntry:
        """Write an object into the new file `target` and return its size and digest.

        Raises:
            ObjectNotFoundError: There is none.
        """
        digest = Digest()
        with target.open("xb") as file:
            for chunk in self.stream(path):
                digest.update(chunk)
                file.write(chunk)
        return digest.entry()

    def measure(self, path: str) -> FileEntry:
        """Return the size and digest of an object, by reading it.

        Raises:
            ObjectNotFoundError: There is none.
        """
        digest = Digest()
        for chunk in self.stream(path):
            digest.update(chunk)
        return digest.entry()


class Digest:
    """Size and sha256 of bytes that pass by."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._size = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(chunk)
        self._size += len(chunk)

    def entry(self) -> FileEntry:
        """Return what was measured up to now."""
        return FileEntry(size=self._size, sha256=self._sha256.hexdigest())


def create_once(store: ObjectStore, path: str, data: bytes) -> bool:
    """Create an object, and tell one's own write from another's.

    Where two writers must not both believe that they have created the object, `data` has to differ
    between them: put a nonce in it.

    Returns:
        Whether the object now holds `data`; if not, another one was there first.
    """
    for _ in range(_CREATE_ATTEMPTS):
        try:
            store.create(path, data)
        except ObjectExistsError:
            try:
                return store.get(path) == data
            except ObjectNotFoundError:
                continue  # the conflict was with a request that has failed since
        else:
            return True
    return False


def win(store: ObjectStore, path: str, data: bytes) -> bool:
    """Create an object that many want to create, as `create_once` does, and look who has won.

    Some servers look whether an object exists and store it in two steps: of two creates at the same
    time both succeed there, and the later one stays. Who reads the object afterwards knows.
    """
    if not create_once(store, path, data):
        return False
    return store.creates_in_one_step or store.get(path) == data


def open_store(url: str | Path, **options: Any) -> ObjectStore:
    """Return the store that `url` names, without any input or output.

    Args:
        url: A path, or a URL that starts with `file://`, `memory://`, `s3://`, `gs://` or `az://`.
        options: For remote stores, what obstore takes as configuration of that kind of store, and
            `client_options` and `retry_config`. Credentials come from where the store's own tools
            look for them.

    Raises:
        SettingsError: The URL or an option is not understood, or obstore is not installed.
    """
    text = os.fspath(url)
    scheme = _scheme(text)
    if scheme in REMOTE_SCHEMES:
        from hatch_defs_state.storage.versioned.remote import RemoteStore

        return RemoteStore(text, options)
    if options:
        raise SettingsError(f"{text}: this kind of store takes no option {sorted(options)[0]!r}")
    if scheme == "memory":
        from hatch_defs_state.storage.versioned.memory import named_store

        return named_store(text)
    if scheme not in {"", "file"}:
        raise SettingsError(
            f"{scheme}:// is not a kind of store that is known here",
            hint="use a path, file://, memory://, s3://, gs:// or az://",
        )
    from hatch_defs_state.storage.versioned.local import LocalStore

    return LocalStore(Path(_file_path(text) if scheme else text))


def _scheme(text: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)  # one letter is a drive of Windows
    return match[1].lower() if match else ""


def _file_path(url: str) -> str:
    path = unquote(urlsplit(url).path)
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path
