"""The stored commits: finding the newest one, and reading others that it names.

The newest commit is found by trying numbers upwards from one that is known: from this object's own
memory, from a hint in the store, or else from a listing. Numbers must therefore never become free
again: clean-up leaves a tombstone where a commit was.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DamagedObjectError, DefsStateError, ObjectNotFoundError
from hatch_defs_state.storage.versioned.commits import EMPTY, Commit, Reference, StoredCommit
from hatch_defs_state.storage.versioned.layout import FLOOR, HEAD_HINT, LOG, log_path, serial_of

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned.objects import ObjectStore

_CACHED = 64
_HINT_SECONDS = 0.2
"""A hint that is younger is left as it is: whoever reads it finds the few commits since."""

_TOMBSTONE = b'{"pruned":true}\n'


class Pruned:
    """Takes the place of a commit that clean-up has removed."""


class PrunedError(DamagedObjectError):
    """A commit that another one names has been cleaned up."""


_PRUNED = Pruned()


class Chain:
    """The objects of all commits of one store. One object may be used by several threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, StoredCommit] = OrderedDict()
        self._newest = 0
        self._hinted = float("-inf")

    def newest(self) -> StoredCommit:
        """Return the newest commit; `EMPTY` before the first."""
        with self._lock:
            start = self._cache.get(self._newest)
        known = start or self._starting_point()
        while known.entry.serial:
            newer = self._newer(known)
            if newer is known:
                break
            known = newer
        return known

    def get(self, serial: int) -> StoredCommit | Pruned | None:
        """Return the commit `serial`, or what is in its place."""
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
        self.remember(commit)
        return commit

    def referenced(self, reference: Reference) -> StoredCommit:
        """Return a commit that another one names.

        Raises:
            PrunedError: It has been cleaned up.
            DamagedObjectError: It is missing, or is another one.
        """
        found = self.get(reference.serial)
        path = log_path(reference.serial)
        if isinstance(found, Pruned):
            raise PrunedError(f"{path} in {self._store.url} is cleaned up", object_path=path)
        if found is None:
            raise DamagedObjectError(f"{path} is missing in {self._store.url}", object_path=path)
        if found.entry.sha256 != reference.sha256:
            raise DamagedObjectError(
                f"{path} in {self._store.url} is not the commit that others build on",
                object_path=path,
            )
        return found

    def resolve(self, commit: StoredCommit) -> Commit:
        """Return a commit with all of its versions; errors are those of `referenced`."""
        base = commit.entry.base
        return commit.resolve(self.referenced(base) if base else None)

    def remember(self, commit: StoredCommit) -> None:
        """Take notice of a commit that is in the store."""
        with self._lock:
            self._newest = max(self._newest, commit.entry.serial)
            self._cache[commit.entry.serial] = commit
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)

    def floor(self) -> int:
        """Return the number of the oldest commit that clean-up has kept."""
        return self._number(FLOOR) or 1

    def bury(self, floor: int, base: int) -> None:
        """Set the floor, and leave tombstones below it, except for the commit `base`."""
        self._store.replace(FLOOR, json.dumps({"serial": floor}).encode())
        for serial in [serial for serial in self.written() if serial < floor and serial != base]:
            self._store.replace(log_path(serial), _TOMBSTONE)
            with self._lock:
                self._cache.pop(serial, None)

    def written(self) -> dict[int, float]:
        """Return when each commit was written that is no tombstone, by the store's clock."""
        return {
            serial: info.modified
            for info in self._store.list(LOG)
            if (serial := serial_of(info.path)) and info.size != len(_TOMBSTONE)
        }

    def hint(self, serial: int) -> None:
        """Leave a hint to the newest commit, unless this object has left one just now."""
        now = time.monotonic()
        if now - self._hinted < _HINT_SECONDS:
            return
        self._hinted = now
        # The commit has taken effect: that its hint cannot be written must not look like a failure.
        try:
            self._store.replace(HEAD_HINT, json.dumps({"serial": serial}).encode(), durable=False)
        except DefsStateError:
            return

    def _starting_point(self) -> StoredCommit:
        """Return some commit, if there is any: the hinted one, or the last of a listing."""
        hinted = self._number(HEAD_HINT)
        found = self.get(hinted) if hinted else None
        return found if isinstance(found, StoredCommit) else self._last_listed()

    def _last_listed(self) -> StoredCommit:
        previous = 0
        while True:
            serials = [serial_of(info.path) for info in self._store.list(LOG)]
            last = max((serial for serial in serials if serial), default=0)
            found = self.get(last) if last else EMPTY
            if isinstance(found, StoredCommit):
                return found
            if last == previous:
                path = log_path(last)
                raise DamagedObjectError(f"{path} is no commit any more", object_path=path)
            # Since the listing, others have committed and this one was cleaned up.
            previous = last

    def _newer(self, known: StoredCommit) -> StoredCommit:
        """Return a commit that is newer than `known`, found by steps that double, or `known`."""
        step = 1
        while (found := self.get(known.entry.serial + step)) is not None:
            if not isinstance(found, StoredCommit):
                return self._last_listed()
            known = found
            step *= 2
        return known

    def _number(self, path: str) -> int | None:
        try:
            value = json.loads(self._store.get(path))["serial"]
        except (ObjectNotFoundError, ValueError, KeyError, TypeError):
            return None
        return value if isinstance(value, int) and value > 0 else None
