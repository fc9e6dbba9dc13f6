"""Clean-up: forgets old commits, marks what nothing needs any more, and removes it later.

Any number of clean-ups, pushes, rollbacks and loads may run at the same time, and each may be
killed at any point. What is removed was unneeded for the whole grace period; it is put on a list of
condemned objects before pins and log are read for the last time, as `leases` explains. Ages of
objects and commits are by the store's clock alone.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import CommitNotFoundError, ObjectNotFoundError
from hatch_defs_state.storage.versioned.layout import CONDEMNED, MARKS, PINS, PROBES, TEMPORARY
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.reach import InUse, Reach, objects_in
from hatch_defs_state.storage.versioned.retention import (
    DAY,
    Retention,
    Unit,
    Verdict,
    judge,
    oldest_kept,
    units_of,
)
from hatch_defs_state.storage.versioned.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_defs_state.errors import DefsStateError
    from hatch_defs_state.storage.versioned.leases import Pin
    from hatch_defs_state.storage.versioned.objects import ObjectInfo, ObjectStore
    from hatch_defs_state.storage.versioned.storage import VersionedStorage

_SCHEMA = 1
_LEFT_BEHIND = DAY


@dataclass(frozen=True)
class Collection:
    """What a clean-up has done, or would do.

    Attributes:
        oldest: The oldest commit that is kept; 0 when there is none.
        kept: Number of commits that are kept.
        forgotten: Numbers of the commits that are not in the history any more.
        removed: Versions and files that were removed.
        waiting: Those that are removed when they are still unneeded at the end of the grace period.
        young: Those that nothing needs, but that were written only recently.
        foreign: What is not known to be versioned storage's, and is left alone.
        leftovers: Paths of what crashed processes have left behind, which is removed.
        pins: The pins that counted.
        unclear: Versions in use of which it cannot be read what they consist of; no shared file is
            removed while there is one.
    """

    oldest: int = 0
    kept: int = 0
    forgotten: tuple[int, ...] = ()
    removed: tuple[Unit, ...] = ()
    waiting: tuple[Unit, ...] = ()
    young: tuple[Unit, ...] = ()
    foreign: tuple[Unit, ...] = ()
    leftovers: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    unclear: tuple[DefsStateError, ...] = ()


def collect(
    storage: VersionedStorage,
    retention: Retention,
    *,
    also: Mapping[str, Iterable[str]] | None = None,
    unknown: bool = False,
    dry_run: bool = False,
) -> Collection:
    """Remove what is older than `retention` says and that nothing needs.

    Args:
        storage: The store.
        retention: What is kept although no pin names it.
        also: More versions that are in use, for every key, such as those of Dagster's own pointer.
        unknown: Whether versions that only Dagster's own class can have written are removed too.
        dry_run: Find out, and write nothing.

    Raises:
        DefsStateError: What is in use cannot be known for sure, or the store refuses. Everything
            that is in use is still there.
    """
    return _Run(storage, retention, also or {}, unknown=unknown, dry=dry_run).collect()


class _Run:
    def __init__(
        self,
        storage: VersionedStorage,
        retention: Retention,
        also: Mapping[str, Iterable[str]],
        *,
        unknown: bool,
        dry: bool,
    ) -> None:
        self._storage = storage
        self._store = storage.store
        self._retention = retention
        self._reach = Reach(storage, also)
        self._unknown = unknown
        self._dry = dry
        self._floor = 0

    def collect(self) -> Collection:
        if self._storage.lineage() is None:
            return Collection()  # nothing was ever written there
        now = time.time() if self._dry else _clock(self._store)
        log = self._storage.log_store
        written = log.written()
        self._floor = oldest_kept(written, now, self._retention)
        if self._floor and not self._dry:
            self._prune()
        objects = list(self._store.list(""))
        in_use = self._reach.read(time.time(), self._floor)
        verdict = self._judge(objects, in_use, now)
        leftovers = tuple(self._leftovers(objects, now))
        removed = verdict.doomed
        if not self._dry:
            self._write_marks(verdict.marks)
            removed = sweep(self._storage, verdict.doomed, self._reach, self._floor)
            run_all(self._store.delete, leftovers)
        return Collection(
            oldest=self._floor,
            kept=in_use.commits,
            forgotten=tuple(serial for serial in sorted(written) if serial < self._floor),
            removed=removed,
            waiting=verdict.waiting,
            young=verdict.young,
            foreign=verdict.foreign,
            leftovers=leftovers,
            pins=in_use.pins,
            unclear=in_use.unclear,
        )

    def _prune(self) -> None:
        try:
            self._storage.log_store.prune(self._floor)
        except CommitNotFoundError:  # another clean-up keeps less
            self._floor = max(self._floor, self._storage.log_store.floor())

    def _judge(self, objects: Iterable[ObjectInfo], in_use: InUse, now: float) -> Verdict:
        units = units_of(objects)
        marks = self._read_marks()

        def judged(chosen: Iterable[Unit], needed: frozenset[str]) -> Verdict:
            return judge(chosen, needed, marks, now, self._retention, unknown=self._unknown)

        versions = judged((unit for unit in units if not unit.is_file), in_use.paths)
        files = Verdict()
        if not in_use.unclear:
            needed = in_use.paths | self._named_by(versions.young)
            files = judged((unit for unit in units if unit.is_file), needed)
        # As long as a version waits its files do, so that it can still become current.
        awaited = self._named_by(versions.waiting) if files.doomed else frozenset()
        doomed = tuple(unit for unit in files.doomed if awaited.isdisjoint(unit.paths))
        kept_back = tuple(unit for unit in files.doomed if not awaited.isdisjoint(unit.paths))
        return Verdict(
            versions.doomed + doomed,
            versions.waiting + files.waiting + kept_back,
            versions.young + files.young,
            versions.foreign,
            {**versions.marks, **files.marks},
        )

    def _named_by(self, versions: Iterable[Unit]) -> frozenset[str]:
        return objects_in(self._store, (unit.manifest for unit in versions if unit.manifest))

    def _leftovers(self, objects: Iterable[ObjectInfo], now: float) -> Iterator[str]:
        """Yield what crashed processes have left behind."""
        for info in objects:
            is_old = info.modified < now - _LEFT_BEHIND
            if info.path.startswith((f"{TEMPORARY}/", f"{PROBES}/")):
                # Unfinished files that are still being written are not that old.
                is_over = is_old
            elif info.path.startswith((f"{PINS}/", f"{CONDEMNED}/")):
                is_over = is_old and self._has_ended(info.path)
            else:
                is_over = False
            if is_over:
                yield info.path

    def _has_ended(self, path: str) -> bool:
        """Whether a pin, or a list of condemned objects, has ended a day ago."""
        try:
            data = self._store.get(path)
            if not data and path.startswith(f"{PINS}/"):
                return True  # a lease that a power failure has emptied
            expires = json.loads(data)["expires"]
            return expires is not None and expires < time.time() - _LEFT_BEHIND
        except (ObjectNotFoundError, ValueError, KeyError, TypeError):
            return False

    def _read_marks(self) -> Mapping[str, float]:
        try:
            values = json.loads(self._store.get(MARKS))
            return {str(name): float(at) for name, at in values["marks"].items()}
        except (ObjectNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # then the grace period begins anew

    def _write_marks(self, marks: Mapping[str, float]) -> None:
        if marks or self._store.size(MARKS) is not None:
            values = {"schema": _SCHEMA, "marks": marks}
            self._store.replace(MARKS, json.dumps(values, sort_keys=True).encode())


def _clock(store: ObjectStore) -> float:
    """Return the time by the clock that dates the objects in `store`."""
    path = f"{PROBES}/{uuid.uuid4()}"
    store.replace(path, b"", durable=False)
    try:
        dates = [info.modified for info in store.list(PROBES) if info.path == path]
    finally:
        store.delete(path)
    return dates[0] if dates else 0.0
