"""What all consumers of events have in common."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from hatch_defs_state.refresh.events import Event


class Reporter(ABC):
    """Consumes the events of one refresh, from entering its `with` block to leaving it.

    The exception that leaves the block tells how the refresh ended; it is never swallowed.
    """

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Take note of an event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None) -> None:  # noqa: B027 - most have nothing to show
        """Show what is shown at the end; `error` is why the refresh ended early, if it did."""


class Broadcast(Reporter):
    """Tells several reporters, in the order given; they are closed in the same order."""

    def __init__(self, *reporters: Reporter) -> None:
        self.reporters = reporters
        self._entered = contextlib.ExitStack()

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        for reporter in self.reporters:
            reporter(event)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entered:
            for reporter in reversed(self.reporters):
                entered.enter_context(reporter)
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.__exit__(kind, error, trace)
