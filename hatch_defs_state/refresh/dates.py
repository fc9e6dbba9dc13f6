"""The dates that go into manifests."""

from __future__ import annotations

import os
import time

from hatch_defs_state.errors import SettingsError

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""ISO 8601, UTC, whole seconds."""


def source_date() -> str | None:
    """Return the date that `SOURCE_DATE_EPOCH` names; `None` when it names none.

    Raises:
        SettingsError: It is no number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return time.strftime(TIME_FORMAT, time.gmtime(int(epoch)))
    except (ValueError, OverflowError, OSError):
        raise SettingsError(
            f"environment: SOURCE_DATE_EPOCH: expected seconds since 1970, got {epoch!r}"
        ) from None


def written_at() -> str:
    """Return the date of what is written now: the present, or that of `SOURCE_DATE_EPOCH`."""
    return source_date() or time.strftime(TIME_FORMAT, time.gmtime())
