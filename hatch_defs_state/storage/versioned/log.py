"""The log: numbered commits, each created only if nobody else has created that number."""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    CommitContentionError,
    CommitNotFoundError,
    StoreFormatError,
    StoreUnavailableError,
)
from hatch_defs_state.storage.versioned.chain import Chain, PrunedError
from hatch_defs_state.storage.versioned.commits import (
    NOTHING,
    Commit,
    LogEntry,
    StoredCommit,
    following,
    successor,
)
from hatch_defs_state.storage.versioned.layout import log_path
from hatch_defs_state.storage.versioned.objects import win

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hatch_defs_state.storage.versioned.objects import ObjectStore

_MAX_PAUSE = 1.0


class Log:
    """The commits of one store. One object may be used by several threads.

    Args:
        store: Where they lie.
        timeout: Seconds for which `append` tries to get its commit in among others'.
    """

    def __init__(self, store: ObjectStore, timeout: float = 120.0) -> None:
        self._store = store
        self._timeout = timeout
        self._chain = Chain(store)
        self._resolved = NOTHING

    def head(self) -> Commit:
        """Return the newest commit; `NOTHING` before the first."""
        return self._current()[1]

    def read(self, serial: int) -> Commit:
        """Return the commit `serial`; 0 is the state before the first one.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
            DamagedObjectError: It was altered.
        """
        if not serial:
            return NOTHING
        found = self._chain.get(serial) if serial >= self.floor() else None
        if isinstance(found, StoredCommit):
            try:
                return self._resolve(found)
            except PrunedError:
                if serial >= self.floor():
                    raise
        raise CommitNotFoundError(
            f"there is no commit {serial} in {self._store.url}",
            hint="`defs-state store log` lists those that there are",
        )

    def entries(self) -> Iterator[LogEntry]:
        """Yield what each commit changed, the newest first, down to the oldest that is kept.

        Raises:
            DamagedObjectError: A commit is missing, or is not the one that its successor follows.
        """
        entry = self._chain.newest().entry
        floor = self.floor()
        while entry.serial:
            yield entry
            if entry.parent is None or entry.parent.serial < floor:
                return
            try:
                entry = self._chain.referenced(entry.parent).entry
            except PrunedError:  # since the floor was read
                return

    def floor(self) -> int:
        """Return the number of the oldest commit that clean-up has kept."""
        return self._chain.floor()

    def written(self) -> dict[int, float]:
        """Return when each commit was written, from the floor on, by the store's clock."""
        floor = self.floor()
        return {serial: at for serial, at in self._chain.written().items() if serial >= floor}

    def prune(self, floor: int) -> None:
        """Forget the commits before `floor`, except one that later commits build on.

        What an earlier call has left undone is done.

        Raises:
            CommitNotFoundError: There is no commit `floor`, or somebody else prunes further.
        """
        floor = max(floor, self.floor())
        kept = self.read(floor).entry
        self._chain.bury(floor, kept.base.serial if kept.base else floor)

    def append(
        self,
        changes: Callable[[Commit], Mapping[str, str | None]],
        *,
        lineage: str,
        message: str = "",
        rollback_of: int | None = None,
    ) -> Commit:
        """Add a commit on top of whatever is newest at that moment.

        Args:
            changes: Tells, for a head, the new version of each key, `None` to remove it; it is
                asked again when another commit came first. What does not differ is left out.
            lineage: The store's lineage.
            message: What to say about it.
            rollback_of: The commit whose versions it brings back.

        Returns:
            The new commit, or the head if nothing changes.

        Raises:
            CommitContentionError: Others were faster for as long as the time allowed.
        """
        nonce = str(uuid.uuid4())
        deadline = time.monotonic() + self._timeout
        attempt = 0
        while True:
            head, current = self._current()
            _require_lineage(head, lineage, self._store.url)
            effective = {
                key: version
                for key, version in changes(current).items()
                if version != current.version_of(key)
            }
            if not effective:
                return current
            draft = LogEntry(
                0, None, lineage, nonce, round(time.time(), 3), message, {}, rollback_of
            )
            new = successor(head, current, effective, draft)
            if self._create(new):
                self._chain.remember(new)
                self._chain.hint(new.entry.serial)
                # Not read again: others may have committed, and cleaned up, since.
                self._resolved = following(current, new.entry)
                return self._resolved
            if time.monotonic() > deadline:
                raise CommitContentionError(
                    f"other commits to {self._store.url} came first for {self._timeout:g} seconds",
                    hint="nothing was changed; run it again, or commit more keys at a time",
                )
            attempt += 1
            time.sleep(random.uniform(0, min(_MAX_PAUSE, 0.002 * 2 ** min(attempt, 10))))  # noqa: S311 - no secret

    def _create(self, commit: StoredCommit) -> bool:
        try:
            return win(self._store, log_path(commit.entry.serial), commit.to_bytes())
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                f"{error.message}; whether commit {commit.entry.serial} took effect is not known",
                hint="run it again: what has taken effect is not committed twice",
            ) from error

    def _current(self) -> tuple[StoredCommit, Commit]:
        """Return the newest commit, as it is stored and with all versions."""
        while True:
            head = self._chain.newest()
            try:
                return head, self._resolve(head)
            except PrunedError:
                # Others have committed since, and a clean-up has come that far.
                if self._chain.newest() is head:
                    raise

    def _resolve(self, commit: StoredCommit) -> Commit:
        known = self._resolved
        if known.entry is commit.entry:
            return known
        found = self._chain.resolve(commit)
        if commit.entry.serial >= known.serial:
            self._resolved = found
        return found


def _require_lineage(head: StoredCommit, lineage: str, url: str) -> None:
    if head.entry.serial and head.entry.lineage != lineage:
        raise StoreFormatError(
            f"commit {head.entry.serial} in {url} belongs to another store's history",
            hint="its log and its marker were put together from two stores; restore one of them",
        )
