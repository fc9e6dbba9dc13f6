"""Pushes to a store on the local disk that are killed, each a little later than the one before.

Run as a module, with a folder for the store and one for states. Prints one line of JSON a push.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from hatch_defs_state.storage.versioned import VersionedStorage

_EVENTS = {"open", "os.link", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir"}


def main(store: Path, states: Path) -> None:
    """Kill pushes at every file operation in the store, until one is long enough to succeed."""
    VersionedStorage(store).push({"old": write(states / "old", 0)}, "before")
    for point in range(1, 2000):
        folders = {"listed": write(states / "listed", point), "other": states / "old"}
        folders |= {f"plain {number}": states / "listed" / "state" for number in range(75)}
        before = VersionedStorage(store).head()
        child = os.fork()
        if child == 0:
            die_before(point, str(store))
            VersionedStorage(store).push(folders, f"push {point}")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        report(VersionedStorage(store), before.serial, point, killed=os.WIFSIGNALED(status))
        if not os.WIFSIGNALED(status):
            return


def write(folder: Path, number: int) -> Path:
    """Write a state that differs for every number, in part."""
    (folder / "project").mkdir(parents=True, exist_ok=True)
    (folder / "state").write_text(str(number))
    (folder / "project" / "new").write_bytes(b"%d" % number * 100_000)
    (folder / "project" / "shared").write_text("always the same")
    return folder


def die_before(point: int, store: str) -> None:
    """Kill this process before it does the `point`-th file operation in the store."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _EVENTS and any(str(value).startswith(store) for value in arguments[:2]):
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def report(storage: VersionedStorage, before: int, point: int, *, killed: bool) -> None:
    """Print what the store is like after a push."""
    new_commits = storage.head().serial - before
    found = storage.verify(deep=new_commits > 0 or point % 10 == 0)
    facts = {
        "point": point,
        "killed": killed,
        "new_commits": new_commits,
        "problems": [str(problem) for problem in found.problems],
        "last_message": storage.head().message,
    }
    print(json.dumps(facts), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
