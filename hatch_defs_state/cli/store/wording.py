"""Times, versions and documents as the store commands show them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.reporting.wording import duration
from hatch_defs_state.settings.kinds import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.versioned import LogEntry

_UUID = re.compile(r"([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY = 86400.0


def print_json(document: Mapping[str, Any]) -> None:
    """Print the document of `--json`."""
    click.echo(json.dumps(document, indent=2))


def iso(at: float | None) -> str | None:
    """Return a time for programs: ISO 8601, in UTC, with milliseconds."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment(at: float) -> str:
    """Return a time for people, in their own time zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """Return a length of time with at most two units, e.g. `3d 04h`, `7d` or `5m 00s`."""
    if seconds < _DAY:
        return duration(seconds, tenths=False)
    days, hours = int(seconds // _DAY), int(seconds % _DAY // 3600)
    return f"{days}d {hours:02d}h" if hours else f"{days}d"


def short(version: str | None) -> str:
    """Return enough of a version to tell it from others; `-` for none."""
    match = _UUID.fullmatch(version or "")
    return match[1] if match else version or "-"


def entry_json(entry: LogEntry) -> dict[str, Any]:
    """Return what a commit says about itself."""
    return {
        "serial": entry.serial,
        "at": iso(entry.at if entry.serial else None),
        "message": entry.message,
        "rollback_of": entry.rollback_of,
    }


def read_duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Return the seconds that an option such as `--ttl 30d` means."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError:
        raise click.BadParameter(
            f'expected a duration such as "90s", "12h" or "7d", got {text!r}'
        ) from None


def read_duration_or_zero(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> float | None:
    """Return the seconds that an option such as `--grace 1h` or `--grace 0` means."""
    return 0.0 if text == "0" else read_duration(ctx, param, text)
