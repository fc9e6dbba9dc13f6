"""States in the cache: folders that share their files, and are complete from the start.

`files/` has the content by its digest, `states/<id>/` a manifest and the folder of a key, whose
files are further names of that content. Everything appears by a rename, so that processes need not
wait for each other to be safe; whatever is missing or altered is found before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DamagedObjectError, StoreFormatError
from hatch_defs_state.location.soundness import is_sound, remember
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.versioned import VersionManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_defs_state.storage.measure import FileEntry

MANIFEST = "manifest.json"
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EACCES})
"""Why a folder cannot be renamed to a name that exists; Windows says the last one."""

_READ_ONLY = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True)
class EntryName:
    """What an entry of the cache holds.

    Attributes:
        scope: Where the version's name is unique: a lineage, `local`, or empty where the name
            follows from the content.
        key: The state key.
        version: The version, or the digest of local state.
    """

    scope: str
    key: str
    version: str

    @property
    def id(self) -> str:
        """The name of the entry's folder."""
        text = json.dumps([self.scope, self.key, self.version])
        return hashlib.sha256(text.encode()).hexdigest()[:40]


class Entries:
    """The files of the cache.

    Args:
        root: The cache's folder.
    """

    def __init__(self, root: Path) -> None:
        self.files = root / "files"
        self.states = root / "states"
        self.work = root / "work"

    def folder(self, name: EntryName) -> Path:
        """Return where the entry lies, or would lie."""
        return self.states / name.id

    def content(self, name: EntryName) -> Path:
        """Return the key's folder in the entry, which holds `state`."""
        return self.folder(name) / folder_name(name.key)

    def find(self, name: EntryName) -> VersionManifest | None:
        """Return what an entry consists of, if it is there, and every file is as it should be."""
        folder = self.folder(name)
        try:
            data = (folder / MANIFEST).read_bytes()
            manifest = VersionManifest.parse(data, name.key, name.version)
        except (OSError, DamagedObjectError, StoreFormatError):
            return None
        content = folder / folder_name(name.key)
        if not all(is_sound(content / path, entry) for path, entry in manifest.files.items()):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return manifest

    @contextlib.contextmanager
    def working(self) -> Iterator[Path]:
        """Make a folder for unfinished files, and remove it afterwards."""
        folder = self.work / f"{os.getpid()}-{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700, parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def shared(self, entry: FileEntry) -> Path | None:
        """Return the file with that content, if it is there and intact."""
        path = self._place(entry)
        return path if is_sound(path, entry) else None

    def share(self, file: Path, entry: FileEntry) -> Path:
        """Move a finished file to the place of its content."""
        place = self._place(entry)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.chmod(_READ_ONLY)
        try:
            file.replace(place)
        except PermissionError:  # Windows, while somebody reads the file that is there
            if not is_sound(place, entry):
                raise
            file.unlink()
        return place

    def install(self, name: EntryName, manifest: VersionManifest, work: Path) -> None:
        """Make an entry of files that are all shared, or repair it.

        Raises:
            OSError: A file has disappeared meanwhile, or the disk refuses.
        """
        new = work / "entry"
        content = new / folder_name(name.key)
        for path, entry in manifest.files.items():
            target = content / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(self._place(entry), target)
        (new / MANIFEST).write_bytes(manifest.to_bytes())
        folder = self.folder(name)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            _put_into(new, folder, work)
        for path, entry in manifest.files.items():
            # Another name changes a time of the file, and nothing else.
            remember(self.content(name) / path, entry)

    def _place(self, entry: FileEntry) -> Path:
        return self.files / entry.sha256[:2] / entry.sha256


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(_READ_ONLY)


def _put_into(new: Path, folder: Path, work: Path) -> None:
    """Replace the files of an entry one by one: others may have its folder's name by now."""
    for file in [path for path in new.rglob("*") if path.is_file()]:
        target = folder / file.relative_to(new)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
        except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
            # Something of another kind has taken the place: it goes, and the caller tries again.
            folder.rename(work / f"odd-{uuid.uuid4().hex}")
            raise FileNotFoundError(errno.ENOENT, "was in the way", str(target)) from error
