"""The commit that a code location has read last, written down in the cache.

A location whose store cannot be reached may load it again, where that is allowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCHEMA = 1


@dataclass(frozen=True)
class PinnedCommit:
    """The versions of one commit that a code location reads.

    Attributes:
        store: URL of the store, without credentials.
        lineage: Names the history that the commit belongs to.
        serial: Number of the commit; 0 before the first one.
        at: When the commit was made, in seconds since the epoch.
        versions: The version of each key that the location needs and the commit has.
        since: When these versions became current, as far as somebody wants to know.
    """

    store: str
    lineage: str
    serial: int
    at: float
    versions: Mapping[str, str]
    since: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return asdict(self)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> PinnedCommit:
        """Read what `to_json` returned.

        Raises:
            ValueError, KeyError, TypeError: It is something else.
        """
        versions = {str(key): str(version) for key, version in values["versions"].items()}
        return cls(
            str(values["store"]),
            str(values["lineage"]),
            int(values["serial"]),
            float(values["at"]),
            versions,
            {str(key): float(at) for key, at in values.get("since", {}).items()},
        )


def record(folder: Path, defs_module: str, commit: PinnedCommit, entries: list[str]) -> None:
    """Write down that a code location reads `commit`.

    Args:
        folder: Where the cache keeps such records.
        defs_module: Names the code location.
        commit: What it reads.
        entries: Identifiers of the entries of the cache that belong to it.

    Raises:
        OSError: The folder cannot be written.
    """
    values = {"schema": _SCHEMA, "commit": commit.to_json(), "entries": entries}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = _file(folder, defs_module, commit.store)
    partial = target.with_name(f"{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(json.dumps(values), "utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def recall(folder: Path, defs_module: str, store: str) -> PinnedCommit | None:
    """Return what a code location read last from a store, if that is known here."""
    try:
        values = json.loads(_file(folder, defs_module, store).read_bytes())
        return PinnedCommit.parse(values["commit"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def recorded_entries(folder: Path) -> frozenset[str]:
    """Return the identifiers of all entries that a location may want to load again."""
    found: set[str] = set()
    if folder.is_dir():
        for file in folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found.update(json.loads(file.read_bytes())["entries"])
    return frozenset(found)


def _file(folder: Path, defs_module: str, store: str) -> Path:
    name = hashlib.sha256(json.dumps([defs_module, store]).encode()).hexdigest()[:32]
    return folder / f"{name}.json"
