"""Which writers need not run, because nothing that their state depends on has changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.fingerprint import Fingerprints, changes
from hatch_defs_state.refresh.interpreters.interpreter import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.record import Record
    from hatch_defs_state.settings.model import Settings


@dataclass(frozen=True)
class Staleness:
    """Why writers have to run.

    Attributes:
        declared: What changed in the files that declare components; when it is empty, the
            components are known without importing the project.
        keys: For every key, why its state cannot be reused; an empty list means that it can.
    """

    declared: Sequence[str]
    keys: Mapping[str, Sequence[str]]

    @property
    def nothing(self) -> bool:
        """Whether every state can be reused, and no component is new or gone."""
        return not self.declared and not any(self.keys.values())


def assess(
    project: Project,
    settings: Settings,
    record: Record | None,
    declarations: Sequence[ComponentDeclaration] | None = None,
    now: float | None = None,
    interpreter: Interpreter | None = None,
) -> Staleness:
    """Compare a project with the record of its last refresh.

    Args:
        project: The project.
        settings: Give `max-age` and `inputs`.
        record: The last refresh, if there is one.
        declarations: The components as they are now; those of the record when it is not known yet.
        now: The present time, in seconds since the epoch.
        interpreter: Runs the writers; the one that runs this code by default.
    """
    if record is None:
        missing = ["there is no record of an earlier run"]
        return Staleness(missing, {d.key: missing for d in declarations or ()})
    moment = time.time() if now is None else now
    fingerprints = Fingerprints(project, settings, record.salt, interpreter or current())
    common = changes(record.common, fingerprints.common())
    if declarations is None:
        declared = changes(record.declared, fingerprints.declared())
        declarations = [key.declaration for key in record.keys.values()]
    else:
        declared = []
    return Staleness(
        declared,
        {
            declaration.key: [
                *_reasons(settings, record, declaration, fingerprints, moment),
                *common,
            ]
            for declaration in declarations
        },
    )


def _reasons(
    settings: Settings,
    record: Record,
    declaration: ComponentDeclaration,
    fingerprints: Fingerprints,
    now: float,
) -> list[str]:
    known = record.keys.get(declaration.key)
    entry = record.manifest.keys.get(declaration.key)
    if known is None or entry is None:
        return ["its writer has not run before"]
    reasons = changes(known.parts, fingerprints.of(declaration))
    if entry.last_good_age is not None:
        reasons.append("its last run failed and an older state was used")
    max_age = settings.of(declaration.key).max_age
    age = now - known.refreshed_at
    if max_age is not None and age > max_age:
        reasons.append(f"its state is {readable(age)} old, max-age is {readable(max_age)}")
    return reasons


def readable(seconds: float) -> str:
    """Return a duration in its two largest units."""
    rest = round(seconds)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
