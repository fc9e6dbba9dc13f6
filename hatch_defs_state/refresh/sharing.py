"""One refresh for all artifacts of one build, whatever number of processes builds them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.fingerprint import Fingerprints, changes
from hatch_defs_state.refresh.front_end import current_build

if TYPE_CHECKING:
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.record import Record
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings

WINDOW_SECONDS = 600.0
"""How long after its refresh other artifacts of a build may take its state: the time in which a
front end packs the first one and prepares an environment for the next."""

_FILE = "build.json"
_COMMON = ("Python", "setting exclude")


def note_build(workspace: Workspace, generation: str) -> None:
    """Remember that this build has made a generation.

    Args:
        workspace: The project's; only a refresh that is alone in it may call this.
        generation: Name of the kept generation.
    """
    note = {"build": current_build(), "generation": generation, "ended": time.time()}
    temporary = workspace.folder / f"{_FILE}.new"
    temporary.write_text(json.dumps(note), "utf-8")
    temporary.replace(workspace.folder / _FILE)


def made_by_this_build(workspace: Workspace, record: Record) -> bool:
    """Whether the kept generation was made by this build, not long ago."""
    try:
        note = json.loads((workspace.folder / _FILE).read_bytes())
        if note["generation"] != record.generation:
            return False
        recent = -1.0 <= time.time() - note["ended"] <= WINDOW_SECONDS
        return recent and bool(note["build"] == current_build())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def same_inputs(
    project: Project, settings: Settings, record: Record, interpreter: Interpreter
) -> bool:
    """Whether the files and variables of a project are those that a record is about.

    Installed distributions do not count: front ends make an environment for each artifact.
    """
    fingerprints = Fingerprints(project, settings, record.salt, interpreter)
    common = fingerprints.common()
    if any(common.get(label) != record.common.get(label) for label in _COMMON):
        return False
    return not changes(record.declared, fingerprints.declared()) and not any(
        changes(key.parts, fingerprints.of(key.declaration)) for key in record.keys.values()
    )
