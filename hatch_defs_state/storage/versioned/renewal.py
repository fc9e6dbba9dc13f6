"""Renewing leases in the background: one thread of a process looks after all of them.

A push holds its lease for milliseconds, and a thread of its own would cost more than the push.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Task:
    """Something that is done again and again; never any more once `end` has returned."""

    def __init__(self, work: Callable[[], None], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ended = False
        self.due = time.monotonic() + seconds

    def start(self) -> None:
        """Do it in a thread of its own: one store that hangs must not keep others waiting."""
        self.due = time.monotonic() + self._seconds
        threading.Thread(target=self._run, name="defs-state-renewal", daemon=True).start()

    def end(self) -> None:
        with self._lock:
            self._ended = True

    def _run(self) -> None:
        with self._lock:
            if not self._ended:
                self._work()


class _Clock:
    """Starts tasks when they are due. Its thread lives as long as there are any."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._sooner = threading.Event()
        self._tasks: set[_Task] = set()
        self._is_running = False
        self._wakes = 0.0

    def add(self, task: _Task) -> None:
        with self._lock:
            self._tasks.add(task)
            if not self._is_running:
                self._is_running = True
                self._wakes = task.due
                threading.Thread(target=self._run, name="defs-state-leases", daemon=True).start()
            elif task.due < self._wakes:
                self._sooner.set()

    def discard(self, task: _Task) -> None:
        # The thread is not woken for it: the next task may come before it wakes by itself.
        with self._lock:
            self._tasks.discard(task)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._sooner.clear()
                if not self._tasks:
                    self._is_running = False
                    return
                now = time.monotonic()
                for task in [task for task in self._tasks if task.due <= now]:
                    with contextlib.suppress(RuntimeError):  # no more threads: next time, then
                        task.start()
                self._wakes = min(task.due for task in self._tasks)
            self._sooner.wait(self._wakes - now)


_clock = _Clock()


@contextlib.contextmanager
def repeating(work: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do something every so many seconds until the end of the context, in the background.

    When the context has ended it is not under way any more. A fork of the process does not do it.
    """
    global _clock
    if _clock.process != os.getpid():
        _clock = _Clock()  # threads do not survive a fork
    clock, task = _clock, _Task(work, seconds)
    clock.add(task)
    try:
        yield
    finally:
        if clock.process == os.getpid():
            clock.discard(task)
            task.end()
