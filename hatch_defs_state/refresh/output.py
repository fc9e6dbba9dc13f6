"""What a child process printed, made fit for a terminal and a log."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 16_384
_TAIL_LINES = 60
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def tail(log: Path) -> str:
    """Return the end of what was printed into `log`.

    Bytes that are no UTF-8 and control characters become replacement characters, escape sequences
    of terminals are removed, so that binary output can neither disturb a terminal nor forge a line.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read()
    except OSError:
        return ""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text)).split("\n")
    cut = size > _TAIL_BYTES or len(lines) > _TAIL_LINES
    return ("[…]\n" if cut else "") + "\n".join(lines[-_TAIL_LINES:])
