"""What a live table shows at one moment: no terminal here, and no colours."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from hatch_defs_state.refresh.events import Finished, Outcome
from hatch_defs_state.reporting.wording import one_line


class Stage(str, Enum):
    """Where the work on a key that has not ended is."""

    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"


State: TypeAlias = Stage | Outcome


@dataclass(frozen=True)
class Row:
    """What is known of one key; `attempt` is 0 before the first one, `label` names the state."""

    key: str
    state: State
    label: str
    seconds: float = 0.0
    size: int = 0
    attempt: int = 0
    note: str = ""

    @classmethod
    def ended(cls, event: Finished, attempt: int) -> Row:
        """Return the row of a key whose work ended with its `attempt`th attempt."""
        note = one_line(event.note or (event.error.message if event.error else ""))
        outcome = event.outcome
        return cls(event.key, outcome, outcome.value, event.seconds, event.size, attempt, note)


@dataclass(frozen=True)
class View:
    """What to show at one moment.

    Attributes:
        rows: The rows to show, in order.
        key_width: Length of the longest key that is run.
        attempts: How often the writer that was started most often was started.
        activity: What is under way that has no row, if something is.
        counts: How many keys have which state, `WAITING` excepted.
        keys: How many keys there are.
        size: Bytes of state so far.
        elapsed: Seconds since the beginning.
        rest: Estimated seconds until the last writer ends; `None` without an estimate.
    """

    rows: tuple[Row, ...]
    key_width: int
    attempts: int
    activity: str | None
    counts: dict[State, int]
    keys: int
    size: int
    elapsed: float
    rest: float | None
