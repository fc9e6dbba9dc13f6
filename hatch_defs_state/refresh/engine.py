"""A refresh from end to end: load, plan, run, judge; the result is a generation."""

from __future__ import annotations

import datetime
import os
import sys
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, raise_all
from hatch_defs_state.refresh.events import Finished, Outcome, Planned, Report
from hatch_defs_state.refresh.judge import JudgedState, judge
from hatch_defs_state.refresh.plan import Plan, make_plan
from hatch_defs_state.refresh.supervisor import Loaded, Supervisor
from hatch_defs_state.requirements import distribution_names
from hatch_defs_state.storage.generation import Generation
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.attempt import Ended
    from hatch_defs_state.settings.model import Settings


def load(
    project: Project,
    settings: Settings,
    scratch: Path,
) -> tuple[Loaded, Plan]:
    """Load the project's components and plan a refresh, without running a writer.

    Args:
        project: The project.
        settings: Ours.
        scratch: An empty folder outside of the project.

    Raises:
        DefsStateError: Everything that is wrong with the components or their keys.
    """
    with Supervisor(project, settings, sys.executable, scratch) as supervisor:
        loaded = supervisor.load()
        return loaded, make_plan(loaded.declarations)


def refresh(
    project: Project,
    settings: Settings,
    scratch: Path,
    report: Report,
) -> Generation:
    """Run every writer once and judge what it wrote.

    Args:
        project: The project.
        settings: Ours.
        scratch: An empty folder outside of the project; the generation's files lie in it.
        report: Receives the events.

    Returns:
        The generation; nothing in the project has changed.

    Raises:
        DefsStateError: Everything that is wrong with components, keys, writers and their state.
    """
    states: dict[str, JudgedState] = {}
    errors: list[DefsStateError] = []

    def finish(ended: Ended) -> None:
        declaration = ended.attempt.declaration
        error, outcome = ended.error, ended.outcome
        if error is None:
            try:
                states[declaration.key] = judge(ended.folder, declaration, settings.exclude)
            except DefsStateError as unacceptable:
                error, outcome = unacceptable, Outcome.FAILED
        if error is not None:
            errors.append(error)
        size = _size(states.get(declaration.key))
        report(Finished(declaration.key, outcome, ended.seconds, size, error))

    names = distribution_names(project.config.dependencies)
    with Supervisor(project, settings, sys.executable, scratch, names) as supervisor:
        loaded = supervisor.load()
        plan = make_plan(loaded.declarations)
        report(_planned(plan, loaded))
        supervisor.run(plan.run, report, finish)
    raise_all(errors)
    return _assemble(project, plan, loaded, states)


def _planned(plan: Plan, loaded: Loaded) -> Planned:
    return Planned(
        keys=tuple(declaration.key for _, declaration in plan.run),
        reused=(),
        elsewhere=tuple((d.key, d.management_type.value) for d in plan.elsewhere),
        warnings=loaded.warnings,
    )


def _size(state: JudgedState | None) -> int:
    return sum(entry.size for entry in state.files.values()) if state else 0


def _assemble(
    project: Project, plan: Plan, loaded: Loaded, states: dict[str, JudgedState]
) -> Generation:
    now = written_at()

    def entry(declaration: ComponentDeclaration) -> KeyEntry:
        state = states.get(declaration.key)
        return KeyEntry(
            component_type=declaration.component_type,
            source=declaration.location,
            management_type=declaration.management_type,
            files=state.files if state else {},
            versions=loaded.versions if state else {},
            written_at=now if state else None,
        )

    manifest = Manifest(
        project=project.config.name,
        keys={declaration.key: entry(declaration) for _, declaration in plan.run},
        elsewhere={declaration.key: entry(declaration) for declaration in plan.elsewhere},
    )
    files = {
        f"{folder_name(key)}/{path}": file
        for key, state in states.items()
        for path, file in state.paths.items()
    }
    return Generation(manifest, files)


def written_at() -> str:
    """Return the present time in ISO 8601 (UTC, whole seconds), or that of `SOURCE_DATE_EPOCH`."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = (
        datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
        if epoch.isdigit()
        else datetime.datetime.now(datetime.timezone.utc)
    )
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
