"""Versioned storage: states as immutable versions, and commits that say which ones are current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.errors import CommitContentionError
from hatch_defs_state.storage.versioned import holding
from hatch_defs_state.storage.versioned.holding import held
from hatch_defs_state.storage.versioned.layout import require_key, require_version
from hatch_defs_state.storage.versioned.leases import LEASE_SECONDS
from hatch_defs_state.storage.versioned.probe import ensure_format
from hatch_defs_state.storage.versioned.reading import StorageReader
from hatch_defs_state.storage.versioned.staging import stage
from hatch_defs_state.storage.versioned.uploads import HeadMovedError, uploaded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.storage.versioned.commits import Commit
    from hatch_defs_state.storage.versioned.leases import Lease
    from hatch_defs_state.storage.versioned.staging import Staged

_ATTEMPTS = 20


class VersionedStorage(StorageReader):
    """States in an object store. One object may be used by several threads.

    Nothing is written before it is needed; the arguments are those of `StorageReader`.
    """

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
        with uploaded(self.store, self._content, [staged], self.head):
            return staged.manifest.version

    def set_version(self, key: str, version: str | None, message: str = "") -> Commit:
        """Make a stored version of a key current, or remove the key; see `set_versions`."""
        return self.set_versions({key: version}, message)

    def set_versions(
        self,
        versions: Mapping[str, str | None],
        message: str = "",
        *,
        wanted: Callable[[Commit, str], bool] = lambda _head, _key: True,
    ) -> Commit:
        """Make stored versions of some keys current, in one commit.

        Versions that Dagster's own class has written below the same base are taken over. Markers
        (`__local__`) have no content.

        Args:
            versions: The new version of each key, or `None` to remove the key.
            message: What to say about the commit.
            wanted: Tells for a key whether it is to change on top of a certain commit.

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
        with held(self.store, self._content, present) as lease:

            def changes(head: Commit) -> Mapping[str, str | None]:
                lease.require_live()
                return {key: version for key, version in versions.items() if wanted(head, key)}

            return self.log_store.append(changes, lineage=lineage, message=message)

    def set_pointer(self, key: str, version: str) -> Commit:
        """Make a version of a key current without asking whether anything is stored for it."""
        require_key(key)
        require_version(key, version)
        return self.log_store.append(lambda _: {key: version}, lineage=self._ensure_lineage())

    def rollback(self, serial: int, message: str = "") -> Commit:
        """Make all versions of an older commit current again, in a new commit.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
            VersionNotFoundError: The content of one of its versions has been cleaned up.
        """
        target = {key: value.version for key, value in self.commit(serial).versions.items()}
        return self.restore(target, message or f"roll back to {serial}", rollback_of=serial)

    def restore(
        self, versions: Mapping[str, str], message: str, *, rollback_of: int | None = None
    ) -> Commit:
        """Make these versions current and no others, in one commit.

        Args:
            versions: The version of each key; other keys are removed.
            message: What to say about the commit.
            rollback_of: The commit whose versions they are, if they are one's.

        Raises:
            VersionNotFoundError: The content of a version has been cleaned up.
        """
        lineage = self._ensure_lineage()
        with held(self.store, self._content, versions) as lease:

            def changes(head: Commit) -> Mapping[str, str | None]:
                lease.require_live()
                return {**dict.fromkeys(head.versions), **versions}

            return self.log_store.append(
                changes, lineage=lineage, message=message, rollback_of=rollback_of
            )

    def hold(
        self,
        versions: Mapping[str, str],
        *,
        name: str | None = None,
        ttl: float | None = LEASE_SECONDS,
        note: str = "",
    ) -> Lease:
        """Protect versions from clean-up until the returned lease ends.

        Whether their content is there is to be checked afterwards.
        """
        return holding.hold(self.store, versions, name=name, ttl=ttl, note=note)

    def pin(
        self,
        serial: int | None = None,
        *,
        name: str | None = None,
        ttl: float | None = LEASE_SECONDS,
        note: str = "",
    ) -> tuple[Commit, Lease]:
        """Protect all versions of a commit, whose content has been found to be there.

        Args:
            serial: Its number; by default the newest commit.
            name: Name of the pin; by default one that nobody else has.
            ttl: Seconds until it ends; `None` means never.
            note: What to say about it.

        Returns:
            The commit, and the lease.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
            VersionNotFoundError: The content of one of its versions is not there.
            DamagedObjectError: A part of that is missing.
        """
        return holding.pin(
            self.store, self.log_store, self._content, serial, name=name, ttl=ttl, note=note
        )

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

    def _ensure_lineage(self) -> str:
        with self._lock:
            if self._known_lineage is None:
                self._known_lineage = ensure_format(self.store).lineage
            return self._known_lineage
