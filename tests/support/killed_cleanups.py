"""Clean-ups of a store on the local disk that are killed, each a little later than the one before.

Run as a module, with a folder. Prints one line of JSON a clean-up.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from hatch_defs_state.storage.versioned import Retention, VersionedStorage, collect
from tests.support.killed_pushes import die_before, write

_LAST_ONLY = Retention(keep_commits=1, keep_age=0, grace=0)


def main(folder: Path) -> None:
    """Kill a clean-up of one and the same store at every file operation, until one succeeds."""
    template = folder / "template"
    prepare(VersionedStorage(template), folder)
    for point in range(1, 2000):
        store = folder / f"store {point}"
        shutil.copytree(template, store)
        child = os.fork()
        if child == 0:
            die_before(point, str(store))
            collect(VersionedStorage(store), _LAST_ONLY)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        report(VersionedStorage(store), point, killed=os.WIFSIGNALED(status))
        shutil.rmtree(store)
        if not os.WIFSIGNALED(status):
            return


def prepare(storage: VersionedStorage, folder: Path) -> None:
    """Make a history with versions of every kind, and a pin in its midst."""
    for number in range(4):
        state = write(folder / "state", number)
        storage.push({"listed": state, "plain": state / "state"}, str(number))
        if number == 1:
            storage.pin(name="kept", ttl=None)
    storage.push({"handed in": write(folder / "state", 7)}, versions={"handed in": "v1"})
    storage.set_version("handed in", None)


def report(storage: VersionedStorage, point: int, *, killed: bool) -> None:
    """Print what the store is like after a clean-up that was killed, and after the next one."""
    damaged = storage.verify(deep=False).problems
    pinned = json.loads(storage.store.get("@defs-state/pins/kept.json"))["versions"]
    needed = {
        path
        for key, versions in pinned.items()
        for version in versions
        for path in storage.objects_of(key, version)
    }
    before = {info.path for info in storage.store.list("")}
    next_one = collect(storage, _LAST_ONLY)
    after = storage.verify()
    facts = {
        "point": point,
        "killed": killed,
        "problems": [str(problem) for problem in (*damaged, *after.problems)],
        "lost": sorted(needed - before),
        "left_for_the_next": len(next_one.removed),
        "unneeded": sorted(path for path in set(after.unreferenced) - needed if _counts(path)),
        "serials": [entry.serial for entry in storage.log()],
    }
    print(json.dumps(facts), flush=True)  # noqa: T201 - its answer


def _counts(path: str) -> bool:
    # These go after a day.
    return not path.startswith(("@defs-state/unfinished/", "@defs-state/probes/"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
