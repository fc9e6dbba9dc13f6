"""Consumers of the engine's events, shared by the adapters: logs, terminals, GitHub, JSON.

`reporter` chooses what fits the stream that people watch; `Document` collects what programs read;
`Broadcast` tells several at once. Every consumer is called with events within its `with` block.
"""

from __future__ import annotations

from hatch_defs_state.reporting.base import Broadcast, Reporter
from hatch_defs_state.reporting.choose import Mode, reporter
from hatch_defs_state.reporting.document import Document
from hatch_defs_state.reporting.github import annotate
from hatch_defs_state.reporting.schema import RESPONSE_SCHEMA
from hatch_defs_state.reporting.wording import Level, Line, counted, describe, duration, size

__all__ = [
    "RESPONSE_SCHEMA",
    "Broadcast",
    "Document",
    "Level",
    "Line",
    "Mode",
    "Reporter",
    "annotate",
    "counted",
    "describe",
    "duration",
    "reporter",
    "size",
]
