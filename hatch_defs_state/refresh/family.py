"""Processes that writers start: recognised by a variable, adopted when their parents end, killed.

Runs in the child process; imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PR_SET_CHILD_SUBREAPER = 36

RUN_MARKER = "DEFS_STATE_RUN"
"""Environment variable that a writer and all that it starts inherit: how they are found again."""


def adopt_orphans() -> None:
    """Become the parent of everything that writers start and leave behind, on Linux."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def adopted(own: Mapping[int, object]) -> list[int]:
    """Return the processes that became children of this one when a writer of it ended."""
    try:
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid for pid in map(int, listed) if pid not in own]


def carries(pid: int, marker: str) -> bool:
    """Whether a process was started with a run marker that begins with `marker`."""
    try:
        return f"{RUN_MARKER}={marker}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def kill(pid: int) -> None:
    """Kill a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    """Kill a process group, if there is anything in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
