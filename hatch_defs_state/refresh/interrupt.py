"""Interrupts: Ctrl-C, SIGTERM and SIGHUP end a refresh in the same orderly way."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


_NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        """What shells report for a process that this signal ended."""
        return 128 + self.number


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """Raise `Interrupted` for SIGINT, SIGTERM and SIGHUP within the block.

    Only the main thread is told of signals; in another one the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        # A second signal must not cut short what the first one began to clean up.
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(number)

    handled = {number: signal.signal(number, interrupt) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, before in handled.items():
            signal.signal(number, before)
