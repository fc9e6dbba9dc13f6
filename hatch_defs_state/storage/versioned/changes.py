"""What differs between two commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned.commits import Commit


@dataclass(frozen=True)
class Change:
    """A key whose version differs.

    Attributes:
        key: The state key.
        old: The version before; `None` when the key was not there.
        new: The version after; `None` when the key is gone.
    """

    key: str
    old: str | None
    new: str | None


def compare(old: Commit, new: Commit) -> tuple[Change, ...]:
    """Return the keys whose versions differ, sorted."""
    pairs = (
        Change(key, old.version_of(key), new.version_of(key))
        for key in sorted(old.versions.keys() | new.versions.keys())
    )
    return tuple(change for change in pairs if change.old != change.new)
