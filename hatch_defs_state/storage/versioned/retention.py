"""What clean-up keeps and what it removes: decisions about lists of objects, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from hatch_defs_state.storage.versioned.layout import FILES, MANIFESTS, RESERVED
from hatch_defs_state.storage.versioned.versions import is_derived

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hatch_defs_state.storage.versioned.objects import ObjectInfo

DAY = 86400.0

_MANIFEST = re.compile(re.escape(MANIFESTS) + r"/([^/]+)/([^/]+)\.json")
_STATE = re.compile(r"([^/]+)/([^/]+)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Retention:
    """What is kept although no pin names it.

    Attributes:
        keep_commits: So many of the newest commits, at least one.
        keep_age: Commits that were current, and objects that were written, in the last so many
            seconds.
        grace: For how many seconds an object has to be known as unneeded before it is removed.
            It gives time to whoever reads the store without a lease.
    """

    keep_commits: int = 10
    keep_age: float = 7 * DAY
    grace: float = 3600.0


def oldest_kept(written: Mapping[int, float], now: float, retention: Retention) -> int:
    """Return the number of the oldest commit to keep; 0 when there is none.

    Args:
        written: When each commit was written.
        now: The time, by the same clock.
        retention: What is to be kept.
    """
    serials = sorted(written)
    if not serials:
        return 0
    # A commit was current until the next one was written.
    recent = (
        serial
        for serial, successor in pairwise(serials)
        if written[successor] > now - retention.keep_age
    )
    return min(serials[-max(1, retention.keep_commits) :][0], *recent, serials[-1])


@dataclass(frozen=True)
class Unit:
    """Objects that are needed, or not, together: those of one version, or one shared file.

    Attributes:
        name: Path of the version's state, whether that exists or not; or path of the file.
        paths: Paths of the objects, in the order in which they are to be removed: a manifest
            outlives the state, so that half a version is never taken for one of Dagster's.
        size: Sum of their sizes, in bytes.
        modified: When the youngest was written.
        manifest: Path of the version's manifest, if it has one.
    """

    name: str
    paths: tuple[str, ...]
    size: int
    modified: float
    manifest: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file that versions may share."""
        return self.name.startswith(f"{FILES}/")

    @property
    def is_ours(self) -> bool:
        """Whether it is known to be written, or taken over, by versioned storage."""
        return self.is_file or self.manifest is not None or is_derived(self._version)

    @property
    def is_dagsters(self) -> bool:
        """Whether it has the form of what Dagster's own class writes, and is nobody else's."""
        return not self.is_ours and _UUID.fullmatch(self._version) is not None

    @property
    def _version(self) -> str:
        return self.name.rpartition("/")[2]


def units_of(objects: Iterable[ObjectInfo]) -> tuple[Unit, ...]:
    """Return the units that a store consists of: versions first, then files, each by name.

    What lies elsewhere in the store is left out.
    """
    files: list[Unit] = []
    versions: dict[str, dict[str, ObjectInfo]] = {}
    for info in objects:
        if info.path.startswith(f"{FILES}/"):
            files.append(Unit(info.path, (info.path,), info.size, info.modified))
        elif match := _MANIFEST.fullmatch(info.path):
            versions.setdefault(f"{match[1]}/{match[2]}", {})["manifest"] = info
        elif _STATE.fullmatch(info.path) and not info.path.startswith(f"{RESERVED}/"):
            versions.setdefault(info.path, {})["state"] = info
    return (
        *(_version(name, parts) for name, parts in sorted(versions.items())),
        *sorted(files, key=lambda unit: unit.name),
    )


def _version(name: str, parts: Mapping[str, ObjectInfo]) -> Unit:
    found = [parts[part] for part in ("state", "manifest") if part in parts]
    return Unit(
        name,
        tuple(info.path for info in found),
        sum(info.size for info in found),
        max(info.modified for info in found),
        parts["manifest"].path if "manifest" in parts else None,
    )


@dataclass(frozen=True)
class Verdict:
    """What is to happen to units that nothing needs.

    Attributes:
        doomed: Are to be removed.
        waiting: Are to be removed when they are still unneeded at the end of the grace period.
        young: Were written only recently.
        foreign: Are not known to be versioned storage's, and are left alone.
        marks: When each unit that is doomed or waiting was first found to be unneeded.
    """

    doomed: tuple[Unit, ...] = ()
    waiting: tuple[Unit, ...] = ()
    young: tuple[Unit, ...] = ()
    foreign: tuple[Unit, ...] = ()
    marks: Mapping[str, float] = field(default_factory=dict)


def judge(
    units: Iterable[Unit],
    needed: frozenset[str],
    marks: Mapping[str, float],
    now: float,
    retention: Retention,
    *,
    unknown: bool = False,
) -> Verdict:
    """Decide about units.

    Args:
        units: What there is.
        needed: Paths of objects that are in use; they need not exist.
        marks: When units were first found to be unneeded, by earlier clean-ups.
        now: The time, by the clock that dated the units and the marks.
        retention: What is to be kept.
        unknown: Whether versions that only Dagster's own class can have written are judged too.
    """
    doomed: list[Unit] = []
    waiting: list[Unit] = []
    young: list[Unit] = []
    foreign: list[Unit] = []
    found: dict[str, float] = {}
    for unit in units:
        if not needed.isdisjoint(unit.paths):
            continue
        if not (unit.is_ours or (unknown and unit.is_dagsters)):
            foreign.append(unit)
        elif unit.modified > now - retention.keep_age:
            young.append(unit)
        else:
            marked = marks.get(unit.name, now)
            # It was written again since: what was found then is true no more.
            found[unit.name] = marked if unit.modified <= marked <= now else now
            is_over = found[unit.name] <= now - retention.grace
            (doomed if is_over else waiting).append(unit)
    return Verdict(tuple(doomed), tuple(waiting), tuple(young), tuple(foreign), found)
