"""A log: one line an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.reporting.base import Reporter
from hatch_defs_state.reporting.wording import Level, Line, lines

if TYPE_CHECKING:
    from typing import TextIO

    from hatch_defs_state.refresh.events import Event

_RED, _BOLD_YELLOW, _PLAIN = "\x1b[31m", "\x1b[1;33m", "\x1b[0m"


class Lines(Reporter):
    """Writes the lines of events that matter enough.

    Args:
        stream: Receives the lines; flushed after each event.
        least: How much a line has to matter to be written.
        colour: Whether warnings and errors are coloured.
    """

    def __init__(self, stream: TextIO, *, least: Level = Level.INFO, colour: bool = False) -> None:
        self._stream = stream
        self._least = least
        self._colour = colour

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        text = "".join(
            f"{self._format(line)}\n" for line in lines(event) if line.level >= self._least
        )
        if text:
            self._stream.write(text)
            self._stream.flush()

    def _format(self, line: Line) -> str:
        if line.level is Level.WARNING:
            label = f"{_BOLD_YELLOW}warning:{_PLAIN}" if self._colour else "warning:"
            return f"{label} {line.text}"
        if line.level is Level.ERROR and self._colour:
            return f"{_RED}{line.text}{_PLAIN}"
        return line.text
