"""The cache of the reading side: states on this machine, shared by all processes of a user."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.location import eviction
from hatch_defs_state.location.entries import EntryName
from hatch_defs_state.location.shared_folder import SharedFolder
from hatch_defs_state.storage.cache import own_folder
from hatch_defs_state.storage.generation import measure
from hatch_defs_state.storage.versioned import VersionManifest
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.versions import STATE, is_derived, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

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
        StateError: No folder can be written.
    """

    def __init__(self, folder: Path | None = None, *, limit: int | None = None) -> None:
        place = folder.absolute() if folder else own_folder("versions", inside=("holds",))
        bytes_at_most = eviction.limit_of_environment() if limit is None else limit
        self.folder = place
        self._shared = SharedFolder(place, bytes_at_most)
        self._entries = self._shared.entries
        self.pinned = self._shared.pinned
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
        self._shared.close()

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

    def keep_local(
        self, entries: Mapping[str, KeyEntry], files: Mapping[str, Mapping[str, Path]]
    ) -> dict[str, Path]:
        """Return folders with local state that no refresh will change; copies are made once.

        Args:
            entries: What the manifest says of each key.
            files: For each key its files, by path below the key's folder.

        Raises:
            StateError: A file is not what the manifest says, perhaps because a refresh has just
                replaced it; or the cache cannot be written.
        """

        def copy(name: EntryName, work: Path) -> VersionManifest:
            for path, entry in entries[name.key].files.items():
                if self._entries.shared(entry) is None:
                    self._copy(name, files[name.key][path], entry, work / "copy")
            return VersionManifest(name.key, name.version, entries[name.key].files)

        names = {key: EntryName(_LOCAL, key, entry.digest) for key, entry in entries.items()}
        return self._shared.provide_all(names, copy)

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

    def _copy(self, name: EntryName, source: Path, entry: FileEntry, target: Path) -> None:
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            raise StateError(f"{source} has disappeared", key=name.key) from None
        if measure(target) != entry:
            raise StateError(f"{source} differs from the manifest", key=name.key)
        self._entries.share(target, entry)

    def _lineage(self, storage: VersionedStorage) -> str | None:
        known = self._lineages.get(storage.url)
        if known is None:
            known = storage.lineage()
            if known is not None:
                self._lineages[storage.url] = known
        return known


def _name(lineage: str | None, key: str, version: str) -> EntryName:
    return EntryName("" if is_derived(version) else lineage or "", key, version)
