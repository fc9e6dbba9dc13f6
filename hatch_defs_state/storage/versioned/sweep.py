"""Removing objects that nothing needs, while others read, write and remove."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from hatch_defs_state.storage.versioned.layout import CONDEMNED, MANIFESTS
from hatch_defs_state.storage.versioned.leases import CLOCK_SKEW, Condemned
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.reach import objects_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.reach import Reach
    from hatch_defs_state.storage.versioned.retention import Unit
    from hatch_defs_state.storage.versioned.storage import VersionedStorage

_ROUND = 60.0
"""Seconds for which objects of one list of condemned ones are removed."""

_LAST_REQUEST = 120.0
"""Seconds that a request which removes an object may take, with all of its repetitions."""

_AT_A_TIME = 20_000


def sweep(
    storage: VersionedStorage, doomed: Sequence[Unit], reach: Reach, floor: int
) -> tuple[Unit, ...]:
    """Remove units, except those that have come to be needed.

    Args:
        storage: The store.
        doomed: What nothing needed a moment ago; versions come before the files that they name.
        reach: Tells what is in use.
        floor: The oldest commit that counts.

    Returns:
        What was removed.
    """
    removed: list[Unit] = []
    rest = list(doomed)
    seconds = _ROUND
    while rest:
        batch, rest = rest[:_AT_A_TIME], rest[_AT_A_TIME:]
        started = time.time()
        condemned = Condemned(
            f"{CONDEMNED}/gc-{uuid.uuid4()}.json",
            frozenset(path for unit in batch for path in unit.paths),
            started + seconds + _LAST_REQUEST + CLOCK_SKEW,
        )
        storage.store.create(condemned.path, condemned.to_bytes())
        try:
            unneeded = _still_unneeded(storage.store, batch, reach, floor)
        except BaseException:
            storage.store.delete(condemned.path)
            raise
        # If this fails the list stays until it expires: a request may still take effect.
        done, late = _remove(storage.store, unneeded, started + seconds)
        storage.store.delete(condemned.path)
        if late and not done:
            seconds *= 2  # pins and log alone take that long to read
        removed += done
        rest = late + rest
    return tuple(removed)


def _still_unneeded(
    store: ObjectStore, batch: Iterable[Unit], reach: Reach, floor: int
) -> list[Unit]:
    """Return what neither a pin nor a commit names, now that the list of all of it is written."""
    in_use = reach.read(time.time(), floor)
    unneeded = [unit for unit in batch if in_use.paths.isdisjoint(unit.paths)]
    if not any(unit.is_file for unit in unneeded):
        return unneeded
    if in_use.unclear:
        return [unit for unit in unneeded if not unit.is_file]
    # A version that is stored without a commit, since the store was listed, needs its files.
    going = {unit.manifest for unit in batch}
    staying = (info.path for info in store.list(MANIFESTS) if info.path not in going)
    kept = objects_in(store, (path for path in staying if path not in in_use.paths))
    return [unit for unit in unneeded if kept.isdisjoint(unit.paths)]


def _remove(
    store: ObjectStore, units: Sequence[Unit], deadline: float
) -> tuple[list[Unit], list[Unit]]:
    """Remove units until the deadline; return those that are gone, and those that are not."""

    def remove(unit: Unit) -> bool:
        # All of it or nothing: between two lists nobody waits, and half a version looks damaged.
        if time.time() > deadline:
            return False
        for path in unit.paths:
            store.delete(path)
        return True

    # Files last: of a version that is still there all files are.
    gone: list[bool] = []
    for is_file in (False, True):
        gone += run_all(remove, [unit for unit in units if unit.is_file is is_file])
    ordered = sorted(units, key=lambda unit: unit.is_file)
    return (
        [unit for unit, is_gone in zip(ordered, gone, strict=True) if is_gone],
        [unit for unit, is_gone in zip(ordered, gone, strict=True) if not is_gone],
    )
