"""Versioned storage: states as immutable versions, and commits that say which ones are current."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import CommitContentionError
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.versioned import leases
from hatch_defs_state.storage.versioned.changes import Change, compare
from hatch_defs_state.storage.versioned.content import Content
from hatch_defs_state.storage.versioned.layout import (
    manifest_path,
    require_key,
    require_version,
    state_path,
)
from hatch_defs_state.storage.versioned.log import Log
from hatch_defs_state.storage.versioned.objects import open_store
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.probe import ensure_format, read_format
from hatch_defs_state.storage.versioned.staging import stage
from hatch_defs_state.storage.versioned.uploads import (
    LEASE_SECONDS,
    HeadMovedError,
    uploaded,
)
from hatch_defs_state.storage.versioned.verify import StoreReport, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.storage.versioned.commits import Commit, LogEntry
    from hatch_defs_state.storage.versioned.leases import Lease
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.staging import Staged
    from hatch_defs_state.storage.versioned.versions import VersionManifest

_ATTEMPTS = 20


class VersionedStorage:
    """States in an object store. One object may be used by several threads.

    Nothing is read or written before it is needed, and reading never writes.

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

    def push(
        self,
        folders: Mapping[str, Path],
        message: str = "",
        *,
        versions: Mapping[str, str] | None = None,
    ) -> Commit:
        """Store the states of some keys, and make them current in one commit.

        Args:
            folders: For every key its folder, which holds `state` and its siblings; or a file that
                is the state itself.
            message: What to say about the commit.
            versions: Identifiers for the new versions; for other keys they follow from the content.

        Returns:
            The new commit; or the head, when it holds this content already.

        Raises:
            DefsStateError: Nothing has become current; content that was stored is unreferenced.
        """
        given = versions or {}
        staged = [stage(key, path, given.get(key)) for key, path in sorted(folders.items())]
        for _ in range(_ATTEMPTS):
            try:
                return self._push(staged, message)
            except HeadMovedError:
                continue
        raise CommitContentionError(
            f"others kept changing the same keys in {self.url}",
            hint="nothing was changed; run it again",
        )

    def upload(self, key: str, path: Path, version: str | None = None) -> str:
        """Store the state of a key without making it current, and return its version.

        Args:
            key: The state key.
            path: The key's folder, or a file that is the state itself.
            version: Identifier of the version; by default it follows from the content.
        """
        staged = stage(key, path, version)
        self._ensure_lineage()
        self._content.upload([staged])
        return staged.manifest.version

    def set_version(self, key: str, version: str | None, message: str = "") -> Commit:
        """Make a stored version of a key current, or remove the key; see `set_versions`."""
        return self.set_versions({key: version}, message)

    def set_versions(self, versions: Mapping[str, str | None], message: str = "") -> Commit:
        """Make stored versions of some keys current, in one commit.

        Versions that Dagster's own class has written below the same base are taken over. Markers
        (`__local__`) have no content.

        Args:
            versions: The new version of each key, or `None` to remove the key.
            message: What to say about the commit.

        Raises:
            VersionNotFoundError: Nothing is stored for a version.
            DamagedObjectError: A part of its content is missing.
        """
        for key, version in versions.items():
            require_key(key)
            if version is not None:
                require_version(key, version)
        lineage = self._ensure_lineage()
        present = {key: version for key, version in versions.items() if version is not None}
        with self._held(present) as lease:

            def changes(_: Commit) -> Mapping[str, str | None]:
                lease.require_live()
                return versions

            return self.log_store.append(changes, lineage=lineage, message=message)

    def rollback(self, serial: int, message: str = "") -> Commit:
        """Make all versions of an older commit current again, in a new commit.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
            VersionNotFoundError: The content of one of its versions has been cleaned up.
        """
        target = {key: value.version for key, value in self.commit(serial).versions.items()}
        lineage = self._ensure_lineage()

        with self._held(target) as lease:

            def changes(head: Commit) -> Mapping[str, str | None]:
                lease.require_live()
                return {**dict.fromkeys(head.versions), **target}

            return self.log_store.append(
                changes,
                lineage=lineage,
                message=message or f"roll back to {serial}",
                rollback_of=serial,
            )

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

    def hold(
        self,
        versions: Mapping[str, str],
        *,
        name: str | None = None,
        ttl: float = LEASE_SECONDS,
        note: str = "",
    ) -> Lease:
        """Protect versions from clean-up until the returned lease ends.

        Whether their content is there is to be checked afterwards.
        """
        # Whoever removes a version removes one of these two; its other files may be shared.
        own = [{state_path(key, name), manifest_path(key, name)} for key, name in versions.items()]
        return leases.hold(
            self.store,
            {key: (version,) for key, version in versions.items()},
            frozenset().union(*own),
            ttl=ttl,
            name=name,
            note=note,
        )

    def verify(self, *, deep: bool = True) -> StoreReport:
        """Check the whole store: every commit, and every object that a version needs.

        Args:
            deep: Whether contents are read and compared with their digests, or sizes only.
        """
        return verify(self.store, self.log_store, self._content, self.lineage(), deep=deep)

    def _push(self, staged: Sequence[Staged], message: str) -> Commit:
        head = self.head()
        new: list[Staged] = []
        same: list[Staged] = []
        for one in staged:
            is_current = head.version_of(one.manifest.key) == one.manifest.version
            (same if is_current else new).append(one)
        self._content.require_same(one.manifest for one in same)
        if not new:
            return head
        lineage = self._ensure_lineage()
        unchanged = {one.manifest.key: one.manifest.version for one in same}
        changed = {one.manifest.key: one.manifest.version for one in new}

        with uploaded(self.store, self._content, new, self.head) as lease:

            def changes(current: Commit) -> Mapping[str, str | None]:
                moved = any(current.version_of(key) != value for key, value in unchanged.items())
                if moved or not lease.is_live:
                    raise HeadMovedError
                return changed

            return self.log_store.append(changes, lineage=lineage, message=message)

    @contextlib.contextmanager
    def _held(self, versions: Mapping[str, str]) -> Iterator[Lease]:
        """Keep versions in the store, whose content has been found to be there."""
        with self.hold(versions) as lease, lease.renewing(LEASE_SECONDS):
            run_all(lambda item: self._content.require(*item), versions.items())
            yield lease

    def _ensure_lineage(self) -> str:
        with self._lock:
            if self._known_lineage is None:
                self._known_lineage = ensure_format(self.store).lineage
            return self._known_lineage
