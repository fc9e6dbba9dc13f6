"""What Dagster has read last from a store on this machine, and reads again while that is silent.

Dagster asks for the current versions of all keys first, and then for the states of some of them; a
process that shows versions asks for no state at all. So a commit is written down once everything is
in the cache that was used of the one before: what is written down can be loaded.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StoreUnavailableError
from hatch_defs_state.location import offline
from hatch_defs_state.location.last_pinned import PinnedCommit, recall, record
from hatch_defs_state.storage.versioned import is_marker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.dagster.restoring import Restorer
    from hatch_defs_state.location.version_cache import VersionCache
    from hatch_defs_state.storage.versioned import Commit, KeyVersion, VersionedStorage

OWNER = "Dagster"
"""Whose the record is: which code location reads is not known when the versions are asked for."""

_log = logging.getLogger(__name__)


class LastRead:
    """The last commit that was read from one store. One object may be used by several threads.

    Args:
        storage: The store.
        restorer: Restores versions of that store, and has the cache.
        stands_in: Whether what was read last may stand in for a store that does not answer.
    """

    def __init__(self, storage: VersionedStorage, restorer: Restorer, *, stands_in: bool) -> None:
        self._storage = storage
        self._restorer = restorer
        self._stands_in = stands_in
        self._lock = threading.RLock()
        self._commit: PinnedCommit | None = None
        self._stored: Mapping[str, str] = {}
        self._is_settled = False
        self._silence: str | None = None
        self._last: PinnedCommit | None = None
        self._is_announced = False

    @property
    def _cache(self) -> VersionCache:
        return self._restorer.cache

    def require_folder(self) -> None:
        """Take a local store for silent whose folder is not there, and was.

        Raises:
            StoreUnavailableError: The folder is not there.
        """
        try:
            offline.require_folder(self._storage, self._cache, OWNER, None)
        except StoreUnavailableError as error:
            error.hint = "mount it; if it was removed on purpose, make an empty folder"
            raise

    def answered(self, head: Commit, versions: Mapping[str, KeyVersion]) -> None:
        """Take note of what the store has said.

        Args:
            head: The newest commit.
            versions: What is current; where it is not in the commit, it cannot be kept.
        """
        names = {key: value.version for key, value in versions.items()}
        since = {key: value.since for key, value in versions.items()}
        commit = PinnedCommit(
            self._storage.url, head.lineage, head.serial, head.at, names, since=since
        )
        with self._lock:
            self._silence = self._last = None
            self._is_announced = False
            if commit == self._commit or not head.serial:
                return
            self._commit, self._is_settled = commit, False
            self._stored = {
                key: version
                for key, version in names.items()
                if head.version_of(key) == version and not is_marker(version)
            }
            self._settle(None)

    def restored(self, key: str, version: str) -> None:
        """Take note that the state of a key was read from the store, or from the cache."""
        with self._lock:
            if not self._is_settled and self._stored.get(key) == version:
                self._settle(key)

    def instead(self, error: StoreUnavailableError) -> PinnedCommit:
        """Return what was read last, with a warning, in place of what the store does not say.

        Raises:
            StoreUnavailableError: That is not allowed, or nothing was read here before.
        """
        if not self._stands_in:
            error.hint = error.hint or (
                "to load what was read last on this machine, set `offline: last-pinned` in the "
                "configuration of defs_state_storage, or DEFS_STATE_OFFLINE=last-pinned"
            )
            raise error
        commit = offline.require_last(self._storage.url, self._cache, OWNER, error.message)
        with self._lock:
            if self._last != commit or not self._is_announced:
                self._is_announced = True
                offline.announce_last(commit, OWNER, error.message)
            self._silence, self._last = error.message, commit
        return commit

    def restore(self, key: str, version: str, path: Path) -> bool:
        """Restore a version without the store, if that was silent; return whether it is here."""
        return self._silence is not None and self._restore(key, version, path)

    def restore_instead(
        self, error: StoreUnavailableError, key: str, version: str, path: Path
    ) -> None:
        """Restore a version that the store does not hand out.

        Raises:
            StoreUnavailableError: That is not allowed, or it is not in the cache.
        """
        if not self._stands_in:
            raise error
        with self._lock:
            self._silence = error.message
            self._last = self._last or recall(self._cache.pinned, OWNER, self._storage.url)
        if self._restore(key, version, path):
            return
        commit = self._last
        if commit is None or commit.versions.get(key) != version:
            raise error
        raise offline.incomplete(commit, [key], self._cache, OWNER, error.message) from error

    def _restore(self, key: str, version: str, path: Path) -> bool:
        lineage = self._last.lineage if self._last else None
        return self._restorer.restore_from_cache(key, version, lineage, path)

    def _settle(self, key: str | None) -> None:
        """Write the commit down, if nothing that is used is missing.

        Args:
            key: A key whose state was asked for: what is missing is downloaded then.
        """
        commit = self._commit
        if commit is None:
            return
        try:
            cache = self._cache
            used = self._used()
            if key is not None:
                used[key] = commit.versions[key]
                # Whether it succeeds or not: for the other keys, it would go the same way.
                self._is_settled = True
                cache.get_all(self._storage, used, lineage=commit.lineage)
            elif cache.known(used, lineage=commit.lineage) != used.keys():
                return
            record(cache.pinned, OWNER, commit, cache.ids(self._stored, lineage=commit.lineage))
        except (DefsStateError, OSError) as error:
            level = logging.WARNING if self._stands_in else logging.DEBUG
            _log.log(
                level,
                "the commit %d of %s will not be at hand when the store does not answer: %s",
                commit.serial,
                commit.store,
                error,
            )

    def _used(self) -> dict[str, str]:
        """Return the versions of those keys whose states are here as they were read last."""
        last = recall(self._cache.pinned, OWNER, self._storage.url)
        if last is None:
            return {}
        known = self._cache.known(last.versions, lineage=last.lineage)
        return {key: version for key, version in self._stored.items() if key in known}
