"""Which reporter fits where events are shown."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_defs_state.reporting.base import Broadcast, Reporter
from hatch_defs_state.reporting.github import GitHub
from hatch_defs_state.reporting.lines import Lines
from hatch_defs_state.reporting.wording import Level

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TextIO

    from hatch_defs_state.errors import SourceLocation

Mode: TypeAlias = Literal["auto", "quiet", "verbose"]
"""`quiet` shows warnings and errors alone, `verbose` every event and what writers print."""

_LEAST = {"quiet": Level.WARNING, "auto": Level.INFO, "verbose": Level.DETAIL}


def reporter(
    stream: TextIO,
    *,
    mode: Mode = "auto",
    jobs: int = 1,
    locations: Mapping[str, SourceLocation] | None = None,
    root: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Reporter:
    """Return the reporter for people that watch `stream`.

    That is a live table on a terminal that can show one, when `rich` is installed, else a log; in
    GitHub Actions there are annotations and a job summary, too.

    Args:
        stream: Where to write, usually standard error.
        mode: How much to show.
        jobs: How many writers run at a time, for the estimate of how long it will take.
        locations: Where components are declared, by state key. Read when an error or a warning is
            shown, so that it may be filled after the call.
        root: The project's root, which locations are relative to; the current folder by default.
        environment: Read for `NO_COLOR`, `FORCE_COLOR`, `TERM`, `CI` and GitHub's variables.
    """
    shown = _live(stream, mode, jobs, environment) or Lines(
        stream, least=_LEAST[mode], colour=_has_colour(stream, environment)
    )
    if environment.get("GITHUB_ACTIONS") != "true":
        return shown
    return Broadcast(shown, GitHub(stream, locations or {}, root=root, environment=environment))


def _live(stream: TextIO, mode: Mode, jobs: int, environment: Mapping[str, str]) -> Reporter | None:
    if mode == "quiet" or not _is_capable(stream, environment):
        return None
    # A log that CI systems keep would show every frame of a table, terminal or not.
    if environment.get("CI", "").casefold() not in {"", "0", "false"}:
        return None
    if importlib.util.find_spec("rich") is None:
        return None
    from hatch_defs_state.reporting.live import Live, console_for

    console = console_for(stream, colour=_has_colour(stream, environment))
    return Live(console, jobs=jobs, verbose=mode == "verbose")


def _is_capable(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Tell whether `stream` is a terminal that can move its cursor."""
    if environment.get("TERM", "").casefold() in {"dumb", "unknown"}:
        return False
    try:
        return stream.isatty()
    except ValueError:
        return False


def _has_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Tell whether to write colours; see https://no-color.org and https://force-color.org."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or _is_capable(stream, environment)
