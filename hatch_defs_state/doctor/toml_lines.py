"""On which line of a TOML file something is said; the parser of the standard library knows not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def line_of(text: str, path: Sequence[str], containing: str = "") -> int | None:
    """Return the line of the statement that first says something at `path`.

    A TOML file that is cut off after a statement is a TOML file: what a statement says is in the
    file up to its end, and not in the file up to its beginning.

    Args:
        text: The file.
        path: Names of the tables from the top, and of the key.
        containing: Of the statement's lines, the first that contains this is meant.

    Returns:
        The line, counted from 1; `None` when nothing is said there.
    """
    lines = text.splitlines()
    start = 0
    for end in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(document, path):
            statement = range(start, end)
            said = [n for n in statement if lines[n].strip() and lines[n].strip()[0] != "#"]
            return next((n for n in said if containing in lines[n]), said[0]) + 1
        start = end
    return None


def _has(node: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
