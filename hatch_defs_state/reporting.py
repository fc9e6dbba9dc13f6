"""Events of the engine as lines of text: the one wording of all adapters."""

from __future__ import annotations

from dataclasses import dataclass

from hatch_defs_state.refresh.events import (
    Event,
    Finished,
    Outcome,
    Planned,
    Published,
    Retried,
)

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Line:
    """One line of a log; a warning is shown even where progress is not."""

    text: str
    warning: bool = False


def size(count: int) -> str:
    """Return a number of bytes with its unit, in powers of 1000."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it belongs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def describe(event: Event) -> Line | None:
    """Return the line for `event`; `None` when a log says nothing of it."""
    if isinstance(event, Planned):
        parts = [f"{counted(len(event.keys), 'writer')} to run"] if event.keys else []
        parts.extend(f"{key} is kept elsewhere ({kind})" for key, kind in event.elsewhere)
        parts.extend(event.warnings)
        return Line("; ".join(parts), bool(event.warnings)) if parts else None
    if isinstance(event, Retried):
        return Line(f"{event.key}: failed, runs again in {event.delay:.1f} s", warning=True)
    if isinstance(event, Finished):
        detail = size(event.size) if event.outcome is Outcome.REFRESHED else "see below"
        return Line(f"{event.key}: {event.outcome.value} in {event.seconds:.1f} s, {detail}")
    if isinstance(event, Published):
        count = counted(len(event.manifest.keys), "state")
        return Line(f"{count} in {event.path}, digest {event.manifest.digest[:12]}")
    return None
