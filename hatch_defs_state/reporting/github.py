"""GitHub Actions: annotations on the lines that declare components, and a job summary.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, SourceLocation, flatten
from hatch_defs_state.refresh.events import Event, Finished, Notice, Outcome, Planned
from hatch_defs_state.reporting.base import Reporter
from hatch_defs_state.reporting.history import History
from hatch_defs_state.reporting.summary import job_summary
from hatch_defs_state.reporting.wording import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_LONGEST_MESSAGE = 4000
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def command(name: str, message: str, properties: Mapping[str, str | int | None]) -> str:
    """Return a workflow command, escaped as in `@actions/core`.

    Args:
        name: The command.
        message: Its value.
        properties: Its properties; those that are `None` are left out.
    """
    given = ",".join(
        f"{key}={str(value).translate(_PROPERTY)}"
        for key, value in properties.items()
        if value is not None
    )
    return f"::{name}{' ' if given else ''}{given}::{message.translate(_DATA)}"


def annotate(
    error: DefsStateError,
    *,
    root: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """Return the workflow commands that annotate what `error` says, one an error that it holds.

    Args:
        error: The error.
        root: The project's root, which locations are relative to; the current folder by default.
        environment: Read for `GITHUB_WORKSPACE`.
    """
    return tuple(
        _annotation(
            "error",
            f"defs-state: {each.key}" if each.key is not None else "defs-state",
            _explain(each),
            _place(each.location, root, environment),
        )
        for each in flatten([error])
    )


class GitHub(Reporter):
    """Annotates errors and last-good state, and writes the job summary.

    Args:
        stream: Receives the annotations; the runner reads standard output and standard error.
        locations: Where components are declared, by state key, for errors that do not say it.
        root: The project's root, which locations are relative to; the current folder by default.
        environment: Read for `GITHUB_WORKSPACE` and `GITHUB_STEP_SUMMARY`.
        clock: Returns seconds, from any moment on.
    """

    def __init__(
        self,
        stream: TextIO,
        locations: Mapping[str, SourceLocation],
        *,
        root: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._locations = locations
        self._root = root
        self._environment = environment
        self._clock, self._begun = clock, clock()
        self._history = History()

    def __call__(self, event: Event) -> None:
        """Annotate what ended badly."""
        self._history.add(event)
        if isinstance(event, Planned):
            for warning in event.warnings:
                self._write(_annotation("warning", "defs-state", warning, {}))
        elif isinstance(event, Notice) and event.warning:
            self._write(_annotation("warning", "defs-state", event.text, {}))
        elif isinstance(event, Finished):
            error = event.error
            place = (error.location if error else None) or self._locations.get(event.key)
            found = _place(place, self._root, self._environment)
            title = f"defs-state: {event.key}: {event.outcome.value}"
            if event.outcome is Outcome.LAST_GOOD:
                text = " ".join(line.text for line in lines(event))
                self._write(_annotation("warning", title, text, found))
            elif event.outcome in {Outcome.FAILED, Outcome.TIMED_OUT}:
                text = _explain(error) if error else event.outcome.value
                self._write(_annotation("error", title, text, found))

    def close(self, error: BaseException | None) -> None:
        """Annotate errors of no writer, and write the job summary."""
        for each in self._history.other_errors(error):
            self._write(*annotate(each, root=self._root, environment=self._environment))
        path = self._environment.get(_SUMMARY_VARIABLE)
        if not path:
            return
        text = job_summary(self._history, error, self._clock() - self._begun)
        # A summary that cannot be written is no reason for a refresh to fail.
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as failure:
            problem = f"the job summary could not be written: {failure}"
            self._write(_annotation("warning", "defs-state", problem, {}))

    def _write(self, *commands: str) -> None:
        self._stream.write("".join(f"{each}\n" for each in commands))
        self._stream.flush()


def _annotation(level: str, title: str, message: str, place: Mapping[str, str | int | None]) -> str:
    return command(level, message, {**place, "title": title})


def _explain(error: DefsStateError) -> str:
    """Return all that an error says but its place, which the annotation has."""
    parts = [error.message]
    if error.hint:
        parts.append(f"hint: {error.hint}")
    if error.output and error.output.strip():
        # The end of an output is what explains a failure.
        parts.append(error.output.strip()[-_LONGEST_MESSAGE:])
    return "\n".join(parts)


def _place(
    location: SourceLocation | None, root: Path | None, environment: Mapping[str, str]
) -> dict[str, str | int | None]:
    """Return the properties that place an annotation; GitHub takes paths below its workspace."""
    if location is None:
        return {}
    path = (root or Path()).absolute() / location.file
    workspace = environment.get("GITHUB_WORKSPACE")
    if workspace and path.is_relative_to(workspace):
        path = path.relative_to(workspace)
    return {"file": path.as_posix(), "line": location.line, "col": location.column}
