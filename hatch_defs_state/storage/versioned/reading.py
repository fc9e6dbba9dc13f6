"""Reading versioned storage; nothing here ever writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.versioned.changes import (
    Change,
    FileChange,
    compare,
    compare_files,
)
from hatch_defs_state.storage.versioned.content import Content
from hatch_defs_state.storage.versioned.log import Log
from hatch_defs_state.storage.versioned.objects import open_store
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.probe import read_format
from hatch_defs_state.storage.versioned.verify import StoreReport, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_defs_state.storage.versioned.commits import Commit, LogEntry
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.versions import VersionManifest


class StorageReader:
    """What a store holds. One object may be used by several threads.

    Nothing is read before it is needed.

    Args:
        url: Where the store is: a path, or a URL that `open_store` understands.
        options: Configuration of a remote store.
        timeout: Seconds for which a commit tries to get in among others'.
        store: The store itself, instead of one that is opened by `url`.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        options: Mapping[str, Any] | None = None,
        timeout: float = 120.0,
        store: ObjectStore | None = None,
    ) -> None:
        self.store = store or open_store(url, **(options or {}))
        self.url = self.store.url
        self.log_store = Log(self.store, timeout)
        self._content = Content(self.store)
        self._known_lineage: str | None = None
        self._lock = threading.Lock()

    def lineage(self) -> str | None:
        """Return what names the history in this store; `None` if nothing was ever written."""
        if self._known_lineage is not None:
            return self._known_lineage
        found = read_format(self.store)
        return found.lineage if found else None

    def head(self) -> Commit:
        """Return the newest commit; it has the number 0 when there is none."""
        return self.log_store.head()

    def commit(self, serial: int) -> Commit:
        """Return the commit with this number.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
        """
        return self.log_store.read(serial)

    def log(self) -> Iterator[LogEntry]:
        """Yield what each commit changed, the newest first."""
        return self.log_store.entries()

    def diff(self, old: int, new: int) -> tuple[Change, ...]:
        """Return the keys whose versions differ between two commits, sorted.

        Raises:
            CommitNotFoundError: One of them was never made, or has been cleaned up.
        """
        return compare(self.commit(old), self.commit(new))

    def compare_files(self, change: Change) -> tuple[FileChange, ...]:
        """Return the files that differ between the two versions of a key, sorted.

        Raises:
            VersionNotFoundError: Nothing is stored for a version.
            DamagedObjectError: What is stored for one is missing or was altered.
        """
        return compare_files(self.store, self._content, change)

    def describe(self, key: str, version: str) -> VersionManifest:
        """Return what a version consists of.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it was altered.
        """
        return self._content.describe(key, version)

    def fetch(self, key: str, version: str, target: Path) -> VersionManifest:
        """Restore a version into the new folder `target`, complete and checked, or not at all.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it is missing or was altered.
            StateError: `target` exists, or cannot be written.
        """
        return self._content.fetch(key, version, target)

    def download(self, manifest: VersionManifest, path: str, target: Path) -> None:
        """Restore one file of a version into the new file `target`, and check it.

        Raises:
            DamagedObjectError: It is missing or was altered.
        """
        self._content.download(manifest, path, target)

    def fetch_all(self, versions: Mapping[str, str], folder: Path) -> dict[str, VersionManifest]:
        """Restore versions of several keys into new folders, named after the keys, in `folder`."""
        fetched = run_all(
            lambda item: self.fetch(item[0], item[1], folder / folder_name(item[0])),
            versions.items(),
        )
        return dict(zip(versions, fetched, strict=True))

    def objects_of(self, key: str, version: str) -> frozenset[str]:
        """Return the paths of the objects that a version needs; a marker needs none."""
        return self._content.objects_of(key, version)

    def verify(self, *, deep: bool = True) -> StoreReport:
        """Check the whole store: every commit, and every object that a version needs.

        Args:
            deep: Whether contents are read and compared with their digests, or sizes only.
        """
        return verify(self.store, self.log_store, self._content, self.lineage(), deep=deep)
