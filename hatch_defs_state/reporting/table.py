"""The live table drawn: columns, abbreviations and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hatch_defs_state.refresh.events import Outcome
from hatch_defs_state.reporting.view import Row, Stage, State, View
from hatch_defs_state.reporting.wording import counted, duration, one_line, size

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATE_WIDTH, _TIME_WIDTH, _SIZE_WIDTH = 12, 8, 10
_FIXED_WIDTH = 2 + 2 + _STATE_WIDTH + _TIME_WIDTH
_NOTE_WIDTH, _KEY_WIDTH, _LEAST_KEY_WIDTH = 24, 40, 20
_STYLES: dict[State, str] = {
    Stage.WAITING: "dim",
    Stage.RUNNING: "cyan",
    Stage.RETRYING: "yellow",
    Outcome.REFRESHED: "green",
    Outcome.UNCHANGED: "green",
    Outcome.REUSED: "dim green",
    Outcome.LAST_GOOD: "bold yellow",
    Outcome.FAILED: "bold red",
    Outcome.TIMED_OUT: "bold red",
    Outcome.CANCELLED: "yellow",
}
_LOUD = {Outcome.LAST_GOOD, Outcome.FAILED, Outcome.TIMED_OUT}
_NOT_COUNTED = {Stage.WAITING, Outcome.REFRESHED, Outcome.UNCHANGED}
_DROPPED_FIRST = ("size", "reused", "retrying", "running")


@dataclass(frozen=True)
class Glyphs:
    """The signs that a terminal can show."""

    spinner: str
    done: str
    warned: str
    broken: str
    ellipsis: str

    def mark(self, state: State, elapsed: float) -> str:
        """Return the sign before a row."""
        if state is Stage.RUNNING:
            return self.spinner[int(elapsed * 10) % len(self.spinner)]
        if isinstance(state, Stage):
            return " "
        if state in {Outcome.LAST_GOOD, Outcome.CANCELLED}:
            return self.warned
        return self.done if state.has_state else self.broken

    def shorten(self, text: str, width: int) -> str:
        """Return `text` in at most `width` cells; its middle gives way."""
        if cell_len(text) <= width:
            return text
        room = max(0, width - cell_len(self.ellipsis))
        tail = text[len(text) - room // 2 :]
        while cell_len(tail) > room // 2:
            tail = tail[1:]
        head = set_cell_size(text, room - cell_len(tail)).rstrip()
        return f"{head}{self.ellipsis}{tail}"


UNICODE = Glyphs("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "✓", "!", "✗", "…")
ASCII = Glyphs("-\\|/", "+", "!", "x", "~")


def table(view: View, width: int, glyphs: Glyphs) -> Text:
    """Draw a refresh that is under way."""
    if not view.keys:
        spinner = glyphs.mark(Stage.RUNNING, view.elapsed)
        text = f"{view.activity or 'publishing'}, {duration(view.elapsed, tenths=False)}"
        return _fit(Text(no_wrap=True).append(f"{spinner} ", "cyan").append(text), width)
    done = sum(view.counts[outcome] for outcome in Outcome)
    parts = {"done": f"{done} of {counted(view.keys, 'key')}"}
    for state in (*Stage, *Outcome):
        if state not in _NOT_COUNTED and view.counts[state]:
            parts[state.value] = f"{view.counts[state]} {state.value}"
    if view.size:
        parts["size"] = size(view.size)
    parts["elapsed"] = duration(view.elapsed, tenths=False)
    if view.activity:
        parts["rest"] = view.activity
    elif view.rest is not None and view.rest >= 1:
        parts["rest"] = f"about {duration(view.rest, tenths=False)} left"
    for name in _DROPPED_FIRST:
        if cell_len(", ".join(parts.values())) > width:
            parts.pop(name, None)
    below = _fit(Text(", ".join(parts.values()), style=_worst(view)), width)
    return _join([rows(view, width, glyphs), below])


def rows(view: View, width: int, glyphs: Glyphs) -> Text:
    """Draw the heading and the rows."""
    columns = _Columns.fitting(view, width)
    drawn = [columns.heading(), *(_row(row, columns, glyphs, view.elapsed) for row in view.rows)]
    return _join([_fit(line, width) for line in drawn])


def total(view: View) -> Text:
    """Draw the line below the rows of a refresh that has ended."""
    parts = [f"{view.counts[o]} {o.value}" for o in Outcome if view.counts[o]]
    parts += [size(view.size)] if view.size else []
    text = f"{counted(view.keys, 'key')}: {', '.join(parts)} in {duration(view.elapsed)}"
    return Text(text, style=_worst(view))


@dataclass(frozen=True)
class _Columns:
    """How wide the columns are whose width depends on what they show; 0 hides a column."""

    key: int
    attempt: int
    size: int
    note: int

    @classmethod
    def fitting(cls, view: View, width: int) -> _Columns:
        attempt = len("TRY") if view.attempts > 1 else 0
        room = width - _FIXED_WIDTH - (attempt + 2 if attempt else 0)
        shows_size = room - _SIZE_WIDTH >= _LEAST_KEY_WIDTH
        room -= _SIZE_WIDTH if shows_size else 0
        longest = max([view.key_width, *(cell_len(row.key) for row in view.rows)])
        key = min(longest, room)
        if any(row.note for row in view.rows) and room - 2 - _NOTE_WIDTH >= _KEY_WIDTH:
            # Long keys give way to notes, but only so far that they can be told apart.
            key = min(key, room - 2 - _NOTE_WIDTH)
        key = max(key, len("KEY"))
        note = room - key - 2
        note = note if note >= _NOTE_WIDTH else 0
        return cls(key, attempt, _SIZE_WIDTH if shows_size else 0, note)

    def heading(self) -> Text:
        attempt = f"{'TRY':>{self.attempt + 2}}" if self.attempt else ""
        bytes_ = f"{'SIZE':>{self.size}}" if self.size else ""
        start = f"  {'KEY':{self.key}}  {'STATE':{_STATE_WIDTH}}"
        return Text(f"{start}{attempt}{'TIME':>{_TIME_WIDTH}}{bytes_}", style="bold")


def _row(row: Row, columns: _Columns, glyphs: Glyphs, elapsed: float) -> Text:
    style = _STYLES[row.state]
    key = set_cell_size(glyphs.shorten(one_line(row.key), columns.key), columns.key)
    line = Text(no_wrap=True)
    line.append(f"{glyphs.mark(row.state, elapsed)} ", style)
    line.append(key, style if row.state in _LOUD or row.state is Stage.WAITING else "")
    line.append(f"  {row.label[:_STATE_WIDTH]:{_STATE_WIDTH}}", style)
    if columns.attempt:
        attempt = row.attempt if row.attempt > 1 else ""
        line.append(f"{attempt:>{columns.attempt + 2}}")
    line.append(f"{_time(row):>{_TIME_WIDTH}}")
    if columns.size:
        line.append(f"{_size(row):>{columns.size}}")
    if row.note and columns.note:
        note = row.note
        if cell_len(note) > columns.note:
            room = columns.note - cell_len(glyphs.ellipsis)
            note = set_cell_size(note, room).rstrip() + glyphs.ellipsis
        line.append(f"  {note}", style if row.state in _LOUD else "dim")
    return line


def _time(row: Row) -> str:
    if row.state is Stage.RUNNING:
        return duration(row.seconds, tenths=False)
    return duration(row.seconds) if row.attempt and isinstance(row.state, Outcome) else ""


def _size(row: Row) -> str:
    return size(row.size) if row.size or row.state is Outcome.REFRESHED else ""


def _worst(view: View) -> str:
    for outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LAST_GOOD, Outcome.CANCELLED):
        if view.counts[outcome]:
            return _STYLES[outcome]
    return "bold"


def _fit(text: Text, width: int) -> Text:
    text.rstrip()
    text.truncate(width)
    return text


def _join(drawn: Sequence[Text]) -> Text:
    return Text("\n", no_wrap=True).join(drawn)
