"""The cache of the reading side: states on this machine, shared by all processes of a user."""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import TYPE_CHECKING

from hatch_defs_state.location import eviction
from hatch_defs_state.location.entries import EntryName
from hatch_defs_state.location.shared_folder import SharedFolder
from hatch_defs_state.storage.cache import own_folder
from hatch_defs_state.storage.generation import copy, measure
from hatch_defs_state.storage.versioned import VersionManifest
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.versions import STATE, is_derived, is_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from hatch_defs_state.location.entries import Entries
    from hatch_defs_state.storage.manifest import KeyEntry
    from hatch_defs_state.storage.measure import FileEntry
    from hatch_defs_state.storage.versioned import VersionedStorage


_LOCAL = "local"


class VersionCache:
    """States as folders, content-addressed, checked against their digests before they are used.

    What was asked for is kept until `close`, or until the process and its forks end; the rest goes,
    the longest unused first, when the cache is larger than it may be. Removing the folder, at any
    time, costs downloads only: whatever is asked for again comes back. One object may be used by
    several threads.

    Args:
        folder: Where it is; by default below the user's cache folder (`DEFS_STATE_CACHE_DIR`).
        limit: How many bytes it may have, unless more is in use; by default what
            `DEFS_STATE_CACHE_SIZE` says (`"500MB"`, `"5GB"`), else 5 GB.

    Raises:
        SettingsError: `DEFS_STATE_CACHE_SIZE` is no size.
    """

    def __init__(self, folder: Path | None = None, *, limit: int | None = None) -> None:
        self._folder = folder
        self._limit = eviction.limit_of_environment() if limit is None else limit
        self._opened: SharedFolder | None = None
        self._opening = threading.Lock()
        self._lineages: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that was asked for."""
        if self._opened is not None:
            self._opened.close()

    @property
    def folder(self) -> Path:
        """Where it is.

        Raises:
            StateError: No folder can be written.
        """
        return self._shared.folder

    @property
    def pinned(self) -> Path:
        """Where the last commits that code locations have read are written down."""
        return self._shared.pinned

    @property
    def _shared(self) -> SharedFolder:
        # Not before it is needed: what is read in its place needs no folder that can be written.
        with self._opening:
            if self._opened is None:
                folder = self._folder or own_folder("versions", inside=("holds",))
                self._opened = SharedFolder(folder.absolute(), self._limit)
            return self._opened

    @property
    def _entries(self) -> Entries:
        return self._shared.entries

    def get(self, storage: VersionedStorage, key: str, version: str) -> Path:
        """Return the folder of a version, which holds `state`; only what is missing is downloaded.

        The folder is for reading. What tools leave in it besides the version's files stays, and
        counts for nothing.

        Raises:
            VersionNotFoundError: The store does not have the version.
            DamagedObjectError: What the store has for it is missing or was altered.
            StoreUnavailableError: It is not in the cache, and the store does not answer.
            StateError: The cache cannot be written.
        """
        return self.get_all(storage, {key: version})[key]

    def get_all(
        self, storage: VersionedStorage, versions: Mapping[str, str], *, lineage: str | None = None
    ) -> dict[str, Path]:
        """Return the folders of the versions of several keys; see `get`.

        Args:
            storage: Where they are downloaded from.
            versions: The version of each key.
            lineage: The storage's, where it is known, so that it need not be asked.
        """
        if lineage is None and not all(is_derived(version) for version in versions.values()):
            lineage = self._lineage(storage)
        names = {key: _name(lineage, key, version) for key, version in versions.items()}

        def download(name: EntryName, work: Path) -> VersionManifest:
            return self._download(storage, name, work)

        return self._shared.provide_all(names, download)

    def find_all(self, versions: Mapping[str, str], *, lineage: str | None) -> dict[str, Path]:
        """Return the folders of those versions that are here, whole and unaltered."""
        names = {key: _name(lineage, key, version) for key, version in versions.items()}
        return self._shared.find_all(names)

    def known(self, versions: Mapping[str, str], *, lineage: str | None) -> frozenset[str]:
        """Return the keys whose versions are here, whatever may have happened to them."""
        return frozenset(
            key
            for key, version in versions.items()
            if self._entries.folder(_name(lineage, key, version)).is_dir()
        )

    def ids(self, versions: Mapping[str, str], *, lineage: str | None) -> list[str]:
        """Return what the folders of these versions are called in the cache."""
        return [_name(lineage, key, version).id for key, version in versions.items()]

    @contextlib.contextmanager
    def receiving(self) -> Iterator[Received]:
        """Take files in that may be replaced at any moment; see `keep_local`."""
        with self._entries.working() as work:
            yield Received(self._entries, work)

    def keep_local(self, entries: Mapping[str, KeyEntry], received: Received) -> dict[str, Path]:
        """Return folders with local state that no refresh will change; copies are made once.

        Args:
            entries: What the manifest says of each key.
            received: Has taken in their files.

        Raises:
            StateError: The cache cannot be written, or was removed meanwhile.
        """

        def share(name: EntryName, _: Path) -> VersionManifest:
            files = entries[name.key].files
            for entry in files.values():
                if self._entries.shared(entry) is None:
                    self._entries.share(received.place(entry), entry)
            return VersionManifest(name.key, name.version, files)

        names = {key: EntryName(_LOCAL, key, entry.digest) for key, entry in entries.items()}
        return self._shared.provide_all(names, share)

    def find_local(self, digests: Mapping[str, str]) -> dict[str, Path]:
        """Return the folders of local state, by digest, as far as it is here."""
        return self._shared.find_all({key: EntryName(_LOCAL, key, d) for key, d in digests.items()})

    def trim(self) -> None:
        """Remove what nobody uses, until the cache is as small as it has to be."""
        self._shared.trim()

    def _download(self, storage: VersionedStorage, name: EntryName, work: Path) -> VersionManifest:
        if is_plain(name.version):
            manifest = storage.fetch(name.key, name.version, work / "fetched")
            self._entries.share(work / "fetched" / STATE, manifest.files[STATE])
            return manifest
        manifest = storage.describe(name.key, name.version)
        contents = {entry: path for path, entry in manifest.files.items()}
        missing = [(e, path) for e, path in contents.items() if self._entries.shared(e) is None]

        def download(item: tuple[FileEntry, str]) -> None:
            entry, path = item
            storage.download(manifest, path, work / entry.sha256)
            self._entries.share(work / entry.sha256, entry)

        run_all(download, missing)
        return manifest

    def _lineage(self, storage: VersionedStorage) -> str | None:
        known = self._lineages.get(storage.url)
        if known is None:
            known = storage.lineage()
            if known is not None:
                self._lineages[storage.url] = known
        return known


class Received:
    """Files on their way into the cache: copied where it does not have their content."""

    def __init__(self, entries: Entries, work: Path) -> None:
        self._entries = entries
        self._work = work

    def take(self, file: Path, expected: FileEntry | None) -> FileEntry:
        """Read a file, and return what it holds; see `generation.read`."""
        if expected is None or self._entries.shared(expected) is not None:
            return measure(file)
        copied = self._work / uuid.uuid4().hex
        found = copy(file, copied)
        copied.replace(self.place(found))
        return found

    def place(self, entry: FileEntry) -> Path:
        """Return where the copy of a file lies that has this content."""
        return self._work / entry.sha256


def _name(lineage: str | None, key: str, version: str) -> EntryName:
    return EntryName("" if is_derived(version) else lineage or "", key, version)
