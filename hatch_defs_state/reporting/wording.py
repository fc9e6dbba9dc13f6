"""Events of the engine as lines of text: the one wording of all adapters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

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
    Retried,
    Started,
    Waiting,
)

if TYPE_CHECKING:
    from hatch_defs_state.errors import DefsStateError

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNITS = ("B", "kB", "MB", "GB", "TB")


class Level(IntEnum):
    """How much a line matters."""

    DETAIL = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    text: str
    level: Level = Level.INFO

    @property
    def warning(self) -> bool:
        """Whether the line is to be shown even where progress is not."""
        return self.level >= Level.WARNING


def size(count: int) -> str:
    """Return a number of bytes with its unit, in powers of 1000."""
    value, unit = float(count), 0
    # What rounds to 1000.0 of a unit is 1.0 of the next.
    while value >= (1000 if unit == 0 else 999.95) and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def duration(seconds: float, *, tenths: bool = True) -> str:
    """Return a time with at most two units, e.g. `4.2s`, `1m 02s` or `3h 07m`."""
    if tenths and seconds < 59.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it belongs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_line(text: str) -> str:
    """Return `text` without line ends and other characters that could disturb a terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


def lines(event: Event) -> tuple[Line, ...]:
    """Return all lines for `event`, in the order in which they are to be shown."""
    if isinstance(event, Waiting):
        return (Line(f"another refresh of this project is under way ({event.holder}); waiting"),)
    if isinstance(event, Notice):
        level = Level.WARNING if event.warning else Level.INFO
        return (Line(one_line(event.text), level),)
    if isinstance(event, Planned):
        return _plan(event)
    if isinstance(event, Started):
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        return (Line(f"{one_line(event.key)}: started{again}", Level.DETAIL),)
    if isinstance(event, Output):
        printed = event.text.rstrip().splitlines()
        key = one_line(event.key)
        return tuple(Line(f"{key} | {line}".rstrip(), Level.DETAIL) for line in printed)
    if isinstance(event, Retried):
        cause = reason(event.error)
        text = f"{one_line(event.key)}: failed, runs again in {event.delay:.1f} s{cause}"
        return (Line(text, Level.WARNING),)
    if isinstance(event, Finished):
        return (_end(event),)
    if isinstance(event, Committed):
        return (_commit(event),)
    if isinstance(event, Reloaded):
        return (Line(f"{one_line(event.location)} has been reloaded by {event.url}"),)
    return (_publication(event),)


def describe(event: Event) -> Line | None:
    """Return one line for `event`; `None` when a log that is not verbose says nothing of it."""
    shown = [line for line in lines(event) if line.level > Level.DETAIL]
    if not shown:
        return None
    return Line("; ".join(line.text for line in shown), max(line.level for line in shown))


def reason(error: DefsStateError | None) -> str:
    """Return what `error` says, as the end of a line."""
    return f": {one_line(error.message)}" if error else ""


def _plan(event: Planned) -> tuple[Line, ...]:
    parts = [f"{counted(len(event.keys), 'writer')} to run"] if event.keys else []
    parts.extend([f"{counted(len(event.reused), 'state')} reused"] if event.reused else [])
    return (
        *([Line(", ".join(parts))] if parts else []),
        *(Line(f"{one_line(key)} is kept elsewhere ({kind})") for key, kind in event.elsewhere),
        *(Line(one_line(warning), Level.WARNING) for warning in event.warnings),
    )


def _end(event: Finished) -> Line:
    key, name = one_line(event.key), event.outcome.value
    note = f" ({one_line(event.note)})" if event.note else ""
    seconds, bytes_ = f"{event.seconds:.1f} s", size(event.size)
    if event.outcome in {Outcome.REFRESHED, Outcome.UNCHANGED}:
        return Line(f"{key}: {name} in {seconds}, {bytes_}{note}")
    if event.outcome is Outcome.REUSED:
        return Line(f"{key}: {name}, {bytes_}{note}", Level.DETAIL)
    if event.outcome is Outcome.LAST_GOOD:
        cause = f"its writer failed after {seconds}{reason(event.error)}"
        text = f": {one_line(event.note)}" if event.note else ""
        return Line(f"{key}: {name}, {bytes_}{text}; {cause}", Level.WARNING)
    if event.outcome is Outcome.CANCELLED:
        # Of the writers that were never started there may be thousands.
        started = event.seconds > 0
        text = f"{key}: {name}{f' after {seconds}' if started else ''}{note}"
        return Line(text, Level.INFO if started else Level.DETAIL)
    return Line(f"{key}: {name} after {seconds}{note}{reason(event.error)}", Level.ERROR)


def _publication(event: Published) -> Line:
    count = counted(len(event.manifest.keys), "state")
    return Line(f"{count} in {event.path}, digest {event.manifest.digest[:12]}")


def _commit(event: Committed) -> Line:
    if not event.changes:
        return Line(f"nothing has changed in {event.store}, commit {event.serial}")
    count = counted(len(event.changes), "key")
    return Line(f"{count} changed in {event.store}, commit {event.serial}")
