"""The log: numbered commits, each created only if nobody else has created that number.

The newest commit is found by trying numbers upwards from one that is known: from this object's own
memory, from a hint in the store, or else from a listing. Numbers must therefore never become free
again: clean-up leaves a tombstone where a commit was.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    CommitContentionError,
    CommitNotFoundError,
    DamagedObjectError,
    DefsStateError,
    ObjectNotFoundError,
    StoreFormatError,
    StoreUnavailableError,
)
from hatch_defs_state.storage.versioned.commits import (
    EMPTY,
    NOTHING,
    Commit,
    LogEntry,
    Reference,
    StoredCommit,
    successor,
)
from hatch_defs_state.storage.versioned.layout import FLOOR, HEAD_HINT, LOG, log_path, serial_of
from hatch_defs_state.storage.versioned.objects import create_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hatch_defs_state.storage.versioned.objects import ObjectStore

_CACHED = 64
_MAX_PAUSE = 1.0
_TOMBSTONE = b'{"pruned":true}\n'


class _Pruned:
    """Takes the place of a commit that clean-up has removed."""


_PRUNED = _Pruned()


class Log:
    """The commits of one store. One object may be used by several threads.

    Args:
        store: Where they lie.
        timeout: Seconds for which `append` tries to get its commit in among others'.
    """

    def __init__(self, store: ObjectStore, timeout: float = 120.0) -> None:
        self._store = store
        self._timeout = timeout
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, StoredCommit] = OrderedDict()
        self._newest = 0
        self._resolved = NOTHING

    def head(self) -> Commit:
        """Return the newest commit; `NOTHING` before the first."""
        return self._resolve(self._head())

    def read(self, serial: int) -> Commit:
        """Return the commit `serial`; 0 is the state before the first one.

        Raises:
            CommitNotFoundError: It was never made, or has been cleaned up.
            DamagedObjectError: It was altered.
        """
        if not serial:
            return NOTHING
        found = self._get(serial) if serial >= self.floor() else None
        if not isinstance(found, StoredCommit):
            raise CommitNotFoundError(
                f"there is no commit {serial} in {self._store.url}",
                hint="`defs-state store log` lists those that there are",
            )
        return self._resolve(found)

    def entries(self) -> Iterator[LogEntry]:
        """Yield what each commit changed, the newest first, down to the oldest that is kept.

        Raises:
            DamagedObjectError: A commit is missing, or is not the one that its successor follows.
        """
        entry = self._head().entry
        floor = self.floor()
        while entry.serial:
            yield entry
            if entry.parent is None or entry.parent.serial < floor:
                return
            entry = self._referenced(entry.parent).entry

    def floor(self) -> int:
        """Return the number of the oldest commit that clean-up has kept."""
        return self._number(FLOOR) or 1

    def prune(self, floor: int) -> None:
        """Forget the commits before `floor`, except one that later commits build on.

        Raises:
            CommitNotFoundError: There is no commit `floor`.
        """
        kept = self.read(floor).entry
        base = kept.base.serial if kept.base else floor
        self._store.replace(FLOOR, json.dumps({"serial": floor}).encode())
        for info in self._store.list(LOG):
            serial = serial_of(info.path)
            if serial and serial < floor and serial != base and info.size != len(_TOMBSTONE):
                self._store.replace(info.path, _TOMBSTONE)
                with self._lock:
                    self._cache.pop(serial, None)

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
            head = self._head()
            current = self._resolve(head)
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
                self._remember(new)
                self._write_hint(new.entry.serial)
                return self._resolve(new)
            if time.monotonic() > deadline:
                raise CommitContentionError(
                    f"other commits to {self._store.url} came first for {self._timeout:g} seconds",
                    hint="nothing was changed; run it again, or commit more keys at a time",
                )
            attempt += 1
            time.sleep(random.uniform(0, min(_MAX_PAUSE, 0.002 * 2 ** min(attempt, 10))))  # noqa: S311 - no secret

    def _create(self, commit: StoredCommit) -> bool:
        try:
            return create_once(self._store, log_path(commit.entry.serial), commit.to_bytes())
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                f"{error.message}; whether commit {commit.entry.serial} took effect is not known",
                hint="run it again: what has taken effect is not committed twice",
            ) from error

    def _head(self) -> StoredCommit:
        with self._lock:
            start = self._cache.get(self._newest)
        known = start or self._starting_point()
        while known.entry.serial:
            newer = self._newer(known)
            if newer is known:
                break
            known = newer
        return known

    def _starting_point(self) -> StoredCommit:
        """Return some commit, if there is any: the hinted one, or the last of a listing."""
        hinted = self._number(HEAD_HINT)
        found = self._get(hinted) if hinted else None
        return found if isinstance(found, StoredCommit) else self._last_listed()

    def _last_listed(self) -> StoredCommit:
        serials = [serial_of(info.path) for info in self._store.list(LOG)]
        last = max((serial for serial in serials if serial), default=0)
        found = self._get(last) if last else EMPTY
        if not isinstance(found, StoredCommit):
            path = log_path(last)
            raise DamagedObjectError(f"{path} is no commit any more", object_path=path)
        return found

    def _newer(self, known: StoredCommit) -> StoredCommit:
        """Return a commit that is newer than `known`, found by steps that double, or `known`."""
        step = 1
        while (found := self._get(known.entry.serial + step)) is not None:
            if not isinstance(found, StoredCommit):
                return self._last_listed()
            known = found
            step *= 2
        return known

    def _referenced(self, reference: Reference) -> StoredCommit:
        found = self._get(reference.serial)
        path = log_path(reference.serial)
        if not isinstance(found, StoredCommit):
            raise DamagedObjectError(f"{path} is missing in {self._store.url}", object_path=path)
        if found.entry.sha256 != reference.sha256:
            raise DamagedObjectError(
                f"{path} in {self._store.url} is not the commit that others build on",
                object_path=path,
            )
        return found

    def _resolve(self, commit: StoredCommit) -> Commit:
        known = self._resolved
        if known.entry is commit.entry:
            return known
        base = commit.entry.base
        found = commit.resolve(self._referenced(base) if base else None)
        if commit.entry.serial >= known.serial:
            self._resolved = found
        return found

    def _get(self, serial: int) -> StoredCommit | _Pruned | None:
        with self._lock:
            if serial in self._cache:
                self._cache.move_to_end(serial)
                return self._cache[serial]
        try:
            data = self._store.get(log_path(serial))
        except ObjectNotFoundError:
            return None
        if data == _TOMBSTONE:
            return _PRUNED
        commit = StoredCommit.parse(data, serial)
        self._remember(commit)
        return commit

    def _remember(self, commit: StoredCommit) -> None:
        with self._lock:
            self._newest = max(self._newest, commit.entry.serial)
            self._cache[commit.entry.serial] = commit
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)

    def _number(self, path: str) -> int | None:
        try:
            value = json.loads(self._store.get(path))["serial"]
        except (ObjectNotFoundError, ValueError, KeyError, TypeError):
            return None
        return value if isinstance(value, int) and value > 0 else None

    def _write_hint(self, serial: int) -> None:
        # The commit has taken effect: that its hint cannot be written must not look like a failure.
        try:
            self._store.replace(HEAD_HINT, json.dumps({"serial": serial}).encode(), durable=False)
        except DefsStateError:
            return


def _require_lineage(head: StoredCommit, lineage: str, url: str) -> None:
    if head.entry.serial and head.entry.lineage != lineage:
        raise StoreFormatError(
            f"commit {head.entry.serial} in {url} belongs to another store's history",
            hint="its log and its marker were put together from two stores; restore one of them",
        )
