"""Ending a process together with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from hatch_defs_state.refresh.family import RUN_MARKER

_ROUNDS = 20


def kill_tree(pid: int, marker: str) -> None:
    """Kill the process group of `pid`, its descendants, and whatever carries `marker`.

    A program that left its group and its parent (a daemon) is found by the marker in its
    environment, on Linux; on Windows `taskkill` follows the tree of parents.

    Args:
        pid: A process that leads its own group.
        marker: What the variable `RUN_MARKER` begins with in everything that it started.
    """
    if sys.platform == "win32":
        command = ["taskkill", "/T", "/F", "/PID", str(pid)]
        subprocess.run(command, check=False, capture_output=True)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(_ROUNDS):
        others = _relatives(pid, marker)
        if not others:
            return
        for other in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)


def _relatives(pid: int, marker: str) -> list[int]:
    """Return the living descendants of `pid` and the living processes that carry `marker`."""
    proc = Path("/proc")
    if not proc.is_dir():
        return []
    needle = f"{RUN_MARKER}={marker}".encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            if stat[0] in {b"Z", b"X"}:
                continue
            number = int(entry.name)
            parents[number] = int(stat[1])
            if needle in (entry / "environ").read_bytes():
                found.add(number)
        except OSError:
            continue
    family = {pid}
    grown = True
    while grown:
        children = {n for n, parent in parents.items() if parent in family} - family
        family |= children
        grown = bool(children)
    return sorted((found | family) - {pid, os.getpid()})
