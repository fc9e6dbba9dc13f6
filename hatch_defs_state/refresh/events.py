"""What the engine reports while it works; adapters decide how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.errors import DefsStateError, SourceLocation
    from hatch_defs_state.storage.manifest import Manifest


class Outcome(str, Enum):
    """How the work on one key ended."""

    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"
    REUSED = "reused"
    LAST_GOOD = "last-good"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"

    @property
    def has_state(self) -> bool:
        """Whether there is state to use."""
        return self not in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED}


@dataclass(frozen=True)
class Waiting:
    """Another refresh of the project is under way; this one begins when that has ended.

    Attributes:
        holder: Says which process it is, e.g. `process 4711, since 09:15:02`.
    """

    holder: str


@dataclass(frozen=True)
class Notice:
    """Something about the refresh as a whole that is worth a line.

    Attributes:
        text: A full sentence without its full stop.
        warning: Whether somebody should look at it.
    """

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Planned:
    """Every component is known and no writer has started.

    Attributes:
        keys: Keys whose writers will run.
        reused: Keys whose state is taken over from an earlier run.
        elsewhere: Keys whose state is kept elsewhere, with the name of their management type.
        warnings: Full sentences about components that were left out without harm.
        locations: Where the components are declared, by key.
    """

    keys: tuple[str, ...]
    reused: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    locations: Mapping[str, SourceLocation] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """A writer was started; `attempt` counts from 1."""

    key: str
    attempt: int


@dataclass(frozen=True)
class Output:
    """What a writer printed, sent when an attempt has ended and it printed something."""

    key: str
    text: str


@dataclass(frozen=True)
class Retried:
    """A writer failed and runs again after `delay` seconds."""

    key: str
    attempt: int
    delay: float
    error: DefsStateError


@dataclass(frozen=True)
class Finished:
    """The work on a key ended.

    Attributes:
        key: The state key.
        outcome: How it ended.
        seconds: Wall time of the last attempt.
        size: Bytes of state; 0 unless the outcome has state.
        error: Why the writer failed; set for `LAST_GOOD` too.
        note: What else there is to say, e.g. how old the last good state is.
    """

    key: str
    outcome: Outcome
    seconds: float = 0.0
    size: int = 0
    error: DefsStateError | None = None
    note: str | None = None


@dataclass(frozen=True)
class Published:
    """A generation is in place at `path`, relative to the project where it lies in it."""

    path: str
    manifest: Manifest


@dataclass(frozen=True)
class Committed:
    """Versions are current in a store.

    Attributes:
        store: URL of the store, without credentials.
        serial: Number of the commit; that of an earlier one when nothing has changed.
        changes: The new version of every key that has changed.
        versions: The current version of every key of the refresh.
    """

    store: str
    serial: int
    changes: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Reloaded:
    """A code location has loaded its definitions anew.

    Attributes:
        location: Its name.
        url: The web server that was asked for it.
    """

    location: str
    url: str


Event = (
    Waiting
    | Notice
    | Planned
    | Started
    | Output
    | Retried
    | Finished
    | Published
    | Committed
    | Reloaded
)
Report = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Report to nobody."""
