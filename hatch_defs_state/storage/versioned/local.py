"""A store in a folder of the local disk, with the standard library alone.

An object is written completely, and brought to the disk, under a temporary name; a hard link then
gives it its own name, which fails when that name is taken. So nobody ever sees half an object, not
even after a crash, and of several writers one wins.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StoreRefusedError,
    VersionConflictError,
)
from hatch_defs_state.storage.exchange import sync_folder, sync_tree
from hatch_defs_state.storage.versioned.layout import TEMPORARY
from hatch_defs_state.storage.versioned.objects import CHUNK, ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_defs_state.storage.versioned.objects import Source

# From this number on, syncing the whole file system once is faster than each file and folder.
_MANY = 24


class LocalStore(ObjectStore):
    """Objects as files below `root`, which is made by the first write."""

    creates_in_one_step = True

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links in it stay as they are
        self.url = self.root.as_posix()
        self._has_temporary = False

    def create(self, path: str, data: bytes) -> None:
        """Create a small object, if none is there."""
        target = self._file(path)
        with self._errors(path):
            if target.exists():
                raise ObjectExistsError(f"{path} exists in {self.url}")
            made = _make_folders(target.parent)
            temporary = self._temporary()
            try:
                _write(temporary, data, durable=True)
                if not _link(temporary, target):
                    raise ObjectExistsError(f"{path} exists in {self.url}")
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folders([target.parent, *made])

    def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Create or overwrite a small object."""
        target = self._file(path)
        with self._errors(path):
            made = _make_folders(target.parent)
            temporary = self._temporary()
            try:
                _write(temporary, data, durable=durable)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            if durable:
                _sync_folders([target.parent, *made])

    def put_files(self, files: Mapping[str, Source]) -> frozenset[str]:
        """Store immutable content; the disk is synced for all of it together."""
        existing = frozenset(path for path, source in files.items() if self._holds(path, source))
        new = {path: source for path, source in files.items() if path not in existing}
        if not new:
            return existing
        staged = {path: self._temporary() for path in new}
        with self._errors(f"{len(new)} new objects"):
            try:
                self._stage(new, staged)
                raced, folders = self._link_all(staged)
                self._sync_names(folders)
            finally:
                for file in staged.values():
                    file.unlink(missing_ok=True)
        return existing | {path for path in raced if self._holds(path, new[path])}

    def get(self, path: str) -> bytes:
        """Return a small object."""
        with self._errors(path):
            return self._file(path).read_bytes()

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        with self._errors(path), self._file(path).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def size(self, path: str) -> int | None:
        """Return the size of an object in bytes, or `None` when there is none."""
        with self._errors(path):
            try:
                return self._file(path).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder, in no order; `""` means all."""
        if prefix:
            self._file(prefix)
        folders = [prefix]
        while folders:
            folder = folders.pop()
            # What is removed meanwhile is no object any more.
            with contextlib.suppress(FileNotFoundError), os.scandir(self.root / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir():
                        folders.append(path)
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        facts = entry.stat()
                        yield ObjectInfo(path, facts.st_size, facts.st_mtime)

    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""
        target = self._file(path)
        with self._errors(path):
            target.unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        if not path or set(path.split("/")) & {"", ".", ".."}:
            raise StorageError(f"{path!r} cannot be the path of an object")
        return self.root / path

    def _temporary(self) -> Path:
        if not self._has_temporary:
            (self.root / TEMPORARY).mkdir(parents=True, exist_ok=True)
            self._has_temporary = True
        return self.root / TEMPORARY / uuid.uuid4().hex

    def _holds(self, path: str, source: Source) -> bool:
        size = self.size(path)
        if size is not None and size != source.entry.size:
            raise VersionConflictError(
                f"{path} in {self.url} has {size} bytes already, instead of {source.entry.size}",
                hint="the object is damaged, or two writers use one version identifier",
            )
        return size is not None

    def _stage(self, files: Mapping[str, Source], staged: Mapping[str, Path]) -> None:
        many = len(files) > _MANY
        for path, source in files.items():
            _copy(source, staged[path], durable=not many)
        if many:
            sync_tree(self.root / TEMPORARY)

    def _link_all(self, staged: Mapping[str, Path]) -> tuple[set[str], set[Path]]:
        raced: set[str] = set()
        folders: set[Path] = set()
        for path, file in staged.items():
            target = self._file(path)
            folders.update((target.parent, *_make_folders(target.parent)))
            if not _link(file, target):
                raced.add(path)
        return raced, folders

    def _sync_names(self, folders: set[Path]) -> None:
        if len(folders) > _MANY:
            sync_tree(self.root)
        else:
            _sync_folders(folders)

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ObjectNotFoundError(f"there is no {path} in {self.url}") from None
        except OSError as error:
            raise StorageError(f"{path} in {self.url}: {error.strerror or error}") from error


def _make_folders(folder: Path) -> list[Path]:
    """Make `folder`, and return the folders whose lists of names have changed by that."""
    missing = []
    current = folder
    while not current.is_dir():
        missing.append(current)
        current = current.parent
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
    return [made.parent for made in missing]


def _write(file: Path, data: bytes, *, durable: bool) -> None:
    with file.open("xb") as writer:
        writer.write(data)
        if durable:
            writer.flush()
            os.fsync(writer.fileno())


def _copy(source: Source, target: Path, *, durable: bool) -> None:
    with target.open("xb") as writer:
        for chunk in source.read():
            writer.write(chunk)
        if durable:
            writer.flush()
            os.fsync(writer.fileno())


def _sync_folders(folders: Iterable[Path]) -> None:
    for folder in dict.fromkeys(folders):
        sync_folder(folder)


def _link(file: Path, target: Path) -> bool:
    """Give `file` the name `target` as well, unless that name is taken."""
    try:
        os.link(file, target)
    except FileExistsError:
        return False
    except OSError as error:
        if os.name != "nt":
            raise StoreRefusedError(
                f"the file system of {target.parent} has no hard links ({error.strerror}): "
                "two commits at the same time could overwrite each other there",
                hint="use a folder on another file system, or an object store",
            ) from error
        return _rename_new(file, target)
    return True


def _rename_new(file: Path, target: Path) -> bool:
    """Rename `file`; Windows refuses to do so when `target` exists."""
    try:
        file.rename(target)
    except FileExistsError:
        return False
    return True
