"""How much a state holds, and whether that is suspiciously little."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.storage.measure import FileEntry

_STATE = "state"
LARGEST_JSON_BYTES = 8_000_000
"""Above this, parsing would need too much memory and the size says enough."""


@dataclass(frozen=True)
class Extent:
    """How much a state holds.

    Attributes:
        size: Bytes of all its files.
        items: Number of values, containers not counted, in its JSON document, if it has one.
        alone: Whether the document is all there is.
    """

    size: int
    items: int | None
    alone: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it: no byte, or a JSON document without a value."""
        return self.size == 0 or (self.alone and self.items == 0)

    def fall_from(self, before: Extent) -> tuple[float, str]:
        """Compare with an earlier state.

        Returns:
            By what part this one is smaller (negative when it is larger), and both counts in words.
        """
        if self.items is not None and before.items:
            now, then, unit = self.items, before.items, "items"
        else:
            now, then, unit = self.size, before.size, "bytes"
        fall = (then - now) / then if then else 0.0
        return fall, f"{now} {unit}, the last good one {then}"


def measure_extent(files: Mapping[str, FileEntry], paths: Mapping[str, Path]) -> Extent:
    """Measure a state.

    Args:
        files: Its files by path below the key's folder.
        paths: Where each of them lies.
    """
    size = sum(entry.size for entry in files.values())
    entry = files.get(_STATE)
    items = None
    if entry is not None and 1 < entry.size <= LARGEST_JSON_BYTES:
        items = count_items(paths[_STATE])
    return Extent(size, items, alone=set(files) == {_STATE})


def count_items(path: Path) -> int | None:
    """Count the values of a JSON document that are no containers.

    Returns:
        The number; `None` when the file holds no JSON object or array.
    """
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, (dict, list)):
        return None
    count, rest = 0, [document]
    while rest:
        node = rest.pop()
        if isinstance(node, dict):
            rest.extend(node.values())
        elif isinstance(node, list):
            rest.extend(node)
        else:
            count += 1
    return count
