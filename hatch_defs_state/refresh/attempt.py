"""One run of one writer: its files, its end, and how a failure is explained."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, WriterError
from hatch_defs_state.refresh.events import Outcome
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration


@dataclass(frozen=True)
class Attempt:
    """One run of one writer.

    Attributes:
        index: Position of the component among the declarations that the child sent.
        declaration: The component.
        number: Counts the runs of this writer from 1.
    """

    index: int
    declaration: ComponentDeclaration
    number: int

    def __str__(self) -> str:
        return f"{self.index}-{self.number}"

    def next(self) -> Attempt:
        """Return the attempt after this one."""
        return Attempt(self.index, self.declaration, self.number + 1)


@dataclass(frozen=True)
class Ended:
    """The end of the last attempt at a key.

    Attributes:
        attempt: The attempt.
        folder: The folder that the writer was given.
        seconds: Wall time.
        outcome: `REFRESHED` when the writer returned; what it wrote is not judged yet.
        error: Why it failed.
        output: What the writer printed.
    """

    attempt: Attempt
    folder: Path
    seconds: float
    outcome: Outcome
    error: DefsStateError | None = None
    output: str = ""


@dataclass(frozen=True)
class AttemptFiles:
    """Where the files of attempts lie; a writer that removes its folder reaches none but its own.

    Attributes:
        scratch: A folder of its own, outside of the project.
    """

    scratch: Path

    def create(self) -> None:
        """Make the folders that all attempts share."""
        for name in ("logs", "reports", "attempts"):
            (self.scratch / name).mkdir()
        (self.scratch / "attempts" / "1").mkdir()

    def child_log(self, number: int) -> Path:
        """Return the file for what a child prints outside of writers."""
        return self.scratch / "logs" / f"child-{number}.log"

    def log(self, slot: int) -> Path:
        """Return the file for what the writer in a slot prints; each empties it for itself."""
        return self.scratch / "logs" / f"writer-{slot}.log"

    def report(self, attempt: Attempt) -> Path:
        """Return the file that says why a writer did not return."""
        return self.scratch / "reports" / f"{attempt}.json"

    def folder(self, attempt: Attempt) -> Path:
        """Return the folder that a writer is given, named as it will be in the generation."""
        name = folder_name(attempt.declaration.key)
        return self.scratch / "attempts" / str(attempt.number) / name

    def explain(
        self, attempt: Attempt, status: int, timeout: float | None, output: str
    ) -> tuple[Outcome, WriterError]:
        """Say why a writer failed.

        Args:
            attempt: The attempt.
            status: Exit status of its process; negative for a signal.
            timeout: The seconds that it had, when it was killed for taking longer.
            output: What it printed.
        """
        declaration = attempt.declaration
        hint = None
        outcome = Outcome.FAILED
        if timeout is not None:
            outcome = Outcome.TIMED_OUT
            reason = f"ran longer than {timeout:g} s and was killed"
            hint = "raise the setting `timeout`, or find out what it waits for"
        else:
            reason = self._reason(attempt) or describe_status(status)
        error = WriterError(
            f"the writer of {declaration.component_type} {reason}",
            key=declaration.key,
            location=declaration.location,
            output=output,
            hint=hint,
        )
        return outcome, error

    def _reason(self, attempt: Attempt) -> str | None:
        try:
            return str(json.loads(self.report(attempt).read_bytes())["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def describe_status(status: int) -> str:
    """Return how a process ended, as the rest of a sentence that begins with its name."""
    if status == 0:
        return "ended its process with exit status 0 instead of returning"
    if status > 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
