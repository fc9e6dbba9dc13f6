"""A terminal: a live table with a row a key and a total line.

The only module that imports `rich`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live as Display
from rich.text import Text

from hatch_defs_state.refresh.events import (
    Committed,
    Event,
    Finished,
    Notice,
    Outcome,
    Output,
    Planned,
    Published,
    Reloaded,
)
from hatch_defs_state.reporting.base import Reporter
from hatch_defs_state.reporting.board import Board
from hatch_defs_state.reporting.table import ASCII, UNICODE, rows, table, total
from hatch_defs_state.reporting.wording import Level, Line, counted, lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from typing_extensions import Self

_FRAMES_PER_SECOND = 10
_LINES_AROUND_ROWS = 3  # the heading, the total, and one for the cursor
_MOST_TOLD = 20  # the rows of the table tell the others


def console_for(stream: TextIO, *, colour: bool) -> Console:
    """Return the console for a terminal."""
    return Console(
        file=stream,
        force_terminal=True,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
    )


class Live(Reporter):
    """Shows a table that is redrawn by a thread, and leaves a summary.

    Warnings follow the summary: what is loud has to be the last thing that one reads.

    Args:
        console: The terminal.
        jobs: How many writers run at a time.
        verbose: Whether what writers print is shown above the table.
        clock: Returns seconds, from any moment on.
    """

    def __init__(
        self,
        console: Console,
        *,
        jobs: int = 1,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._verbose = verbose
        self._board = Board(jobs, clock)
        self._glyphs = UNICODE if console.encoding.startswith("utf") else ASCII
        self._planned = False
        self._closing: list[Line] = []
        self._published: tuple[Line, ...] = ()
        self._failures: list[Line] = []
        self._last_good = 0
        self._display = Display(
            console=console,
            get_renderable=self.frame,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            # What is piped elsewhere must not come out on the terminal.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self._board.record(event)
        if isinstance(event, Planned):
            self._planned = True
            if event.elsewhere:
                kinds = ", ".join(sorted({kind for _, kind in event.elsewhere}))
                keys = counted(len(event.elsewhere), "key")
                self._closing.append(Line(f"{keys} kept elsewhere ({kinds})"))
            self._closing.extend(line for line in lines(event) if line.warning)
        elif isinstance(event, Finished):
            if event.outcome is Outcome.LAST_GOOD:
                self._last_good += 1
                self._closing.extend(lines(event) if self._last_good <= _MOST_TOLD else ())
            elif event.error is not None and len(self._failures) < _MOST_TOLD:
                self._failures.extend(lines(event))
        elif isinstance(event, (Published, Committed, Reloaded)):
            self._published += lines(event)
        elif isinstance(event, (Notice, Output) if self._verbose else Notice):
            for line in lines(event):
                self._say(line)

    def frame(self) -> Text:
        """Return the table as it is now."""
        view = self._board.view(max(1, self._console.height - _LINES_AROUND_ROWS))
        return table(view, self._console.width, self._glyphs)

    def close(self, error: BaseException | None) -> None:
        """Replace the table by the summary."""
        self._display.stop()
        if self._planned:
            view = self._board.final(max(1, self._console.height - _LINES_AROUND_ROWS))
            if view.rows:
                self._console.print(rows(view, self._console.width, self._glyphs))
            self._console.print(total(view))
        more = self._last_good - _MOST_TOLD
        if more > 0:
            text = f"{counted(more, 'more key')}: last-good, see the table"
            self._closing.append(Line(text, Level.WARNING))
        # Errors that end a refresh are shown by the adapter; an interrupt does not tell them.
        failures = self._failures if isinstance(error, KeyboardInterrupt) else []
        for line in (*self._closing, *failures, *self._published):
            self._say(line)

    def _say(self, line: Line) -> None:
        label = "warning: " if line.level is Level.WARNING else ""
        style = "red" if line.level is Level.ERROR else ""
        self._console.print(Text().append(label, "bold yellow").append(line.text, style))
