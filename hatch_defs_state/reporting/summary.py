"""The summary of a job in GitHub Actions, in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.events import Finished, Outcome
from hatch_defs_state.reporting.history import FINE, History
from hatch_defs_state.reporting.wording import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Sequence

# GitHub takes one mebibyte a step, and refuses the whole of what is longer.
_LONGEST_SUMMARY = 900_000
_LONGEST_NOTE = 500
_SPECIAL = re.compile(r"[^\w\s.,;()/-]|_")
_LINE_END = re.compile(r"\r\n|[\r\n]")


def job_summary(history: History, error: BaseException | None, seconds: float) -> str:
    """Return a heading, a total, and a table with a row a key, those with a problem first.

    Args:
        history: What happened.
        error: Why the refresh ended early, if it did.
        seconds: Wall time of the refresh.
    """
    ends = sorted(history.ends().values(), key=lambda end: end.outcome in FINE)
    counts = Counter(end.outcome for end in ends)
    total = [f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome]]
    total += [size(bytes_)] if (bytes_ := sum(end.size for end in ends)) else []
    text = f"### defs-state: {history.status(error)}\n\n"
    text += f"{counted(len(ends), 'key')}: {', '.join(total) or 'none'} in {duration(seconds)}\n"
    if history.published:
        digest = history.published.manifest.digest
        text += f"\nDigest `{digest}` in {escape(history.published.path)}\n"
    if history.committed:
        committed = history.committed
        text += f"\nCommit {committed.serial} in {escape(committed.store)}\n"
    text += "".join(f"\n- {escape(str(each))}\n" for each in history.other_errors(error))
    return text + (_table(ends, _LONGEST_SUMMARY - len(text.encode())) if ends else "") + "\n"


def escape(text: str) -> str:
    """Return Markdown that shows `text` as it is, in one line, in a table's cell or elsewhere.

    Character references are never taken for markup, which holds for backslashes in most places
    only.
    """
    escaped = _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text.strip())
    return _LINE_END.sub("<br>", escaped)


def _table(ends: Sequence[Finished], room: int) -> str:
    parts = ["\n| key | outcome | seconds | size | note |\n|---|---|---:|---:|---|\n"]
    for number, end in enumerate(ends):
        row = _row(end)
        room -= len(row.encode())
        if room < 0:
            parts.append(f"\nand {len(ends) - number} more\n")
            break
        parts.append(row)
    return "".join(parts)


def _row(end: Finished) -> str:
    outcome = end.outcome.value if end.outcome in FINE else f"**{end.outcome.value}**"
    seconds = f"{end.seconds:.1f}" if end.seconds else ""
    bytes_ = size(end.size) if end.outcome.has_state and end.size else ""
    said = [end.note or "", end.error.message if end.error else ""]
    note = "; ".join(part for part in said if part)
    note = note if len(note) <= _LONGEST_NOTE else f"{note[:_LONGEST_NOTE]}…"
    return f"| {escape(end.key)} | {outcome} | {seconds} | {bytes_} | {escape(note)} |\n"
