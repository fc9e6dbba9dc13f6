"""What happened in one refresh, for those who tell it when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field

from hatch_defs_state.errors import DefsStateError, flatten
from hatch_defs_state.refresh.events import (
    Committed,
    Event,
    Finished,
    Notice,
    Outcome,
    Planned,
    Published,
    Reloaded,
    Started,
)

NOTHING_PLANNED = Planned((), (), (), ())
FINE = frozenset({Outcome.REFRESHED, Outcome.UNCHANGED, Outcome.REUSED})
"""Outcomes that nobody has to look at."""


@dataclass
class History:
    """Collects events.

    Attributes:
        planned: What was to be run; nothing when it did not come to that.
        finished: How each key ended that did.
        attempts: How often the writer of a key was started.
        published: What is in place, if something is.
        warnings: What was said about the refresh as a whole.
        committed: What is current in a store, if the refresh was one of versioned state.
        reloaded: The code location that was reloaded, if one was.
    """

    planned: Planned = NOTHING_PLANNED
    finished: dict[str, Finished] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    published: Published | None = None
    warnings: list[str] = field(default_factory=list)
    committed: Committed | None = None
    reloaded: Reloaded | None = None

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Planned):
            self.planned = event
        elif isinstance(event, Notice):
            self.warnings.extend([event.text] if event.warning else [])
        elif isinstance(event, Started):
            self.attempts[event.key] = event.attempt
        elif isinstance(event, Finished):
            self.finished[event.key] = event
        elif isinstance(event, Published):
            self.published = event
        elif isinstance(event, Committed):
            self.committed = event
        elif isinstance(event, Reloaded):
            self.reloaded = event

    def status(self, error: BaseException | None) -> str:
        """Return `published`, `failed` or `interrupted`; `error` is why the refresh ended early."""
        if isinstance(error, KeyboardInterrupt):
            return "interrupted"
        done = self.published is not None or self.committed is not None
        return "published" if done and error is None else "failed"

    def ends(self) -> dict[str, Finished]:
        """Return how every key ended, sorted; keys whose work did not end count as cancelled."""
        ends = {key: Finished(key, Outcome.REUSED) for key in self.planned.reused}
        ends |= {key: Finished(key, Outcome.CANCELLED) for key in self.planned.keys}
        ends |= self.finished
        return dict(sorted(ends.items()))

    def other_errors(self, error: BaseException | None) -> tuple[DefsStateError, ...]:
        """Return what `error` holds beside the errors with which keys ended."""
        if not isinstance(error, DefsStateError):
            return ()
        known = {id(end.error) for end in self.finished.values()}
        return tuple(each for each in flatten([error]) if id(each) not in known)
