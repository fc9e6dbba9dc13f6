"""The moments of a call: before and after every call into C, and before every line of publishing.

Calls into C are seen by `sys.setprofile`. Those that go through `ctypes` (`renameat2`, `syncfs`)
are not; they stand alone on lines of `storage/exchange.py`, and `sys.settrace` tells of every line
there. A call is ended at one of its moments in a fork, so that it can be ended by SIGKILL.
"""

from __future__ import annotations

import errno
import json
import linecache
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import StateError
from hatch_defs_state.storage import exchange, generation, publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

_LINES_OF = frozenset(module.__file__ for module in (exchange, generation, publish))

# Calls that reach neither the disk nor anything else outside of the process.
_WITHIN_THE_PROCESS = frozenset({"builtins", "_hashlib", "_json", "_sre", "_stat", "re", "sys"})
_PATH_AS_TEXT = "fspath"

THROUGH_CTYPES = {"call(os.fsencode(": "exchange", "int(syncfs(": "syncfs"}
"""Parts of lines of storage that make a system call, with the names of the calls."""

RETURNED, FAILED, STATE_ERROR, INTERRUPTED = 0, 10, 11, 12
ENDS = {
    RETURNED: "published",
    FAILED: "another error",
    STATE_ERROR: "StateError",
    INTERRUPTED: "interrupted",
}
"""How calls end in forks, by exit status."""


CHANGES = frozenset(
    {
        "mkdir",
        "open",
        "write",
        "__exit__",
        "rename",
        "unlink",
        "rmdir",
        "exchange",
        "chmod",
        "utime",
    }
)
"""Calls into the system that change what is on the disk; `__exit__` writes what was buffered."""

SYNCS = frozenset({"fsync", "syncfs"})
"""Calls into the system that bring it there."""


def moments(call: Callable[[], object], notes: Path) -> list[str]:
    """Make `call` in a fork and return the names of its moments.

    Args:
        call: What to call.
        notes: A file to be written.
    """
    names: list[str] = []

    def record() -> None:
        _watch(call, names.append)
        notes.write_text(json.dumps(names), encoding="utf-8")

    assert in_fork(record) == RETURNED
    found: list[str] = json.loads(notes.read_text(encoding="utf-8"))
    return found


def kill_at(number: int, call: Callable[[], object]) -> bool:
    """Make `call` in a fork that is killed at a moment; return whether there was such a moment."""
    status = end_at(number, call, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert status in {RETURNED, -signal.SIGKILL}, status
    return status != RETURNED


def refuse() -> None:
    """Stand for a system call that the disk refuses."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def interrupt() -> None:
    """Stand for Ctrl-C."""
    raise KeyboardInterrupt


def end_at(number: int, call: Callable[[], object], end: Callable[[], None]) -> int:
    """Make `call` in a fork that calls `end` at a moment; return its exit status."""
    count = 0

    def reached(_name: str) -> None:
        nonlocal count
        count += 1
        if count == number + 1:
            end()

    return in_fork(lambda: _watch(call, reached))


def in_fork(call: Callable[[], object]) -> int:
    """Make `call` in a fork and return its exit status; negative for a signal."""
    pid = os.fork()
    if pid == 0:
        status = FAILED
        try:
            call()
            status = RETURNED
        except StateError:
            status = STATE_ERROR
        except KeyboardInterrupt:
            status = INTERRUPTED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def system_call(moment: str) -> str | None:
    """Return the name of the call into the system that is about to be made at `moment`, if any."""
    event, _, name = moment.partition(" ")
    if event == "line":
        return next((call for part, call in THROUGH_CTYPES.items() if part in name), None)
    return name.rpartition(".")[2] if event == "c_call" else None


def _watch(call: Callable[[], object], reached: Callable[[str], None]) -> None:
    def profile(_frame: FrameType, event: str, argument: Any) -> None:
        if not event.startswith("c_") or _module(argument) in _WITHIN_THE_PROCESS:
            return
        if argument.__qualname__ != _PATH_AS_TEXT:
            reached(f"{event} {argument.__qualname__}")

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in _LINES_OF:
            return None
        if event in {"line", "return"}:
            reached(f"{event} {linecache.getline(file, frame.f_lineno).strip()}")
        return trace

    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
        sys.settrace(None)


def _module(function: Any) -> str:
    owner = getattr(function, "__objclass__", None) or type(getattr(function, "__self__", None))
    return str(getattr(function, "__module__", None) or owner.__module__)
