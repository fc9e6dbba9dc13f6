"""What has happened so far, and which part of it a live table shows."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.events import (
    Event,
    Finished,
    Outcome,
    Planned,
    Published,
    Retried,
    Started,
    Waiting,
)
from hatch_defs_state.reporting.view import Row, Stage, State, View
from hatch_defs_state.reporting.wording import duration, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEPT = 200
"""How many rows of finished keys are kept: what is remembered must not grow with the project."""


@dataclass(frozen=True)
class _Active:
    started: float
    attempt: int
    due: float | None = None
    note: str = ""


class Board:
    """Follows events, and is looked at by another thread.

    Args:
        jobs: How many writers run at a time.
        clock: Returns seconds, from any moment on.
    """

    def __init__(self, jobs: int, clock: Callable[[], float]) -> None:
        self._jobs, self._clock, self._begun = max(1, jobs), clock, clock()
        self._lock = threading.Lock()
        self._activity: str | None = "loading the project"
        self._keys: tuple[str, ...] = ()
        self._reused: frozenset[str] = frozenset()
        self._key_width = self._attempts = 0
        self._active: dict[str, _Active] = {}
        self._counts: Counter[Outcome] = Counter()
        self._size = 0
        self._problems: dict[str, Row] = {}
        self._fine: dict[str, Row] = {}
        self._durations: deque[float] = deque(maxlen=KEPT)
        self._end: float | None = None
        self._untouched: State = Stage.WAITING

    def record(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            if isinstance(event, Waiting):
                self._activity = f"waiting for another refresh ({event.holder})"
            elif isinstance(event, Planned):
                self._plan(event)
            elif isinstance(event, Started):
                self._active[event.key] = _Active(self._clock(), event.attempt)
                self._attempts = max(self._attempts, event.attempt)
            elif isinstance(event, Retried):
                now, note = self._clock(), one_line(event.error.message)
                self._active[event.key] = _Active(now, event.attempt, now + event.delay, note)
            elif isinstance(event, Finished):
                self._finish(event)
            elif isinstance(event, Published):
                self._activity = None

    def view(self, capacity: int) -> View:
        """Return what to show where `capacity` rows fit."""
        with self._lock:
            rows = self._fitting(capacity)
            return self._view(self._scrolling(capacity) if rows is None else rows)

    def final(self, capacity: int) -> View:
        """Return what to leave on the screen: all rows when they fit, else those with a problem.

        Keys whose work did not end count as cancelled.
        """
        with self._lock:
            self._counts[Outcome.CANCELLED] += max(0, self._total - sum(self._counts.values()))
            for key, active in self._active.items():
                seconds = self._clock() - active.started
                self._problems[key] = Row.ended(
                    Finished(key, Outcome.CANCELLED, seconds), active.attempt
                )
            self._active.clear()
            self._activity, self._end, self._untouched = None, None, Outcome.CANCELLED
            rows = self._fitting(capacity)
            return self._view(self._problems.values() if rows is None else rows)

    @property
    def _total(self) -> int:
        return len(self._keys) + len(self._reused)

    def _plan(self, event: Planned) -> None:
        self._activity = None
        self._keys, self._reused = event.keys, frozenset(event.reused)
        self._key_width = max(map(len, event.keys), default=0)
        self._counts[Outcome.REUSED] = len(self._reused)
        self._estimate()

    def _finish(self, event: Finished) -> None:
        outcome, active = event.outcome, self._active.pop(event.key, None)
        if event.key not in self._reused:
            self._counts[outcome] += 1
        self._size += event.size
        if active is not None and outcome is not Outcome.CANCELLED:
            self._durations.append(event.seconds)
        row = Row.ended(event, active.attempt if active else 0)
        if outcome not in {Outcome.REFRESHED, Outcome.UNCHANGED, Outcome.REUSED}:
            # Of the writers that were never started there may be thousands, and they say nothing.
            if outcome is not Outcome.CANCELLED or event.seconds or active:
                self._problems[event.key] = row
        elif outcome is not Outcome.REUSED or self._total <= KEPT:
            self._fine[event.key] = row
            if len(self._fine) > KEPT:
                del self._fine[next(iter(self._fine))]
        self._estimate()

    def _estimate(self) -> None:
        left = self._total - sum(self._counts.values())
        if left <= 0 and all(outcome.has_state for outcome in +self._counts):
            self._activity = "publishing"
        if left > 0 and self._durations:
            rounds = max(1.0, left / self._jobs)
            self._end = self._clock() + statistics.median(self._durations) * rounds
        else:
            self._end = None

    def _fitting(self, capacity: int) -> list[Row] | None:
        capacity = min(capacity, KEPT)
        if self._total <= capacity:
            keys: Iterable[str] = sorted(chain(self._keys, self._reused))
        elif len(self._keys) <= capacity:
            keys = self._keys
        else:
            return None
        return [self._row_of(key) for key in keys]

    def _scrolling(self, capacity: int) -> list[Row]:
        by_stage = sorted(self._active, key=lambda key: self._active[key].due is not None)
        problems = min(len(self._problems), max(capacity - len(by_stage) - 1, capacity // 3))
        running = [self._row_of(key) for key in by_stage[: capacity - problems]]
        fine = capacity - problems - len(running)
        return [*_last(self._problems, problems), *_last(self._fine, fine), *running]

    def _row_of(self, key: str) -> Row:
        active = self._active.get(key)
        if active is None:
            state = Outcome.REUSED if key in self._reused else self._untouched
            row = self._problems.get(key) or self._fine.get(key)
            return row or Row(key, state, state.value)
        now, attempt = self._clock(), active.attempt
        if active.due is not None:
            rest = duration(active.due - now, tenths=False)
            return Row(key, Stage.RETRYING, f"retry in {rest}", 0.0, 0, attempt, active.note)
        return Row(key, Stage.RUNNING, "running", now - active.started, 0, attempt)

    def _view(self, rows: Iterable[Row]) -> View:
        now = self._clock()
        retrying = sum(active.due is not None for active in self._active.values())
        counts: dict[State, int] = {outcome: self._counts[outcome] for outcome in Outcome}
        counts |= {Stage.RUNNING: len(self._active) - retrying, Stage.RETRYING: retrying}
        return View(
            rows=tuple(rows),
            key_width=self._key_width,
            attempts=self._attempts,
            activity=self._activity,
            counts=counts,
            keys=self._total,
            size=self._size,
            elapsed=now - self._begun,
            rest=None if self._end is None else max(0.0, self._end - now),
        )


def _last(rows: dict[str, Row], count: int) -> Iterator[Row]:
    return islice(rows.values(), max(0, len(rows) - count), None)
