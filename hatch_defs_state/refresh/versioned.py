"""A refresh of versioned state: writers run and are judged here, and one commit tells the result.

The baseline is what is current in the store, so that nothing but the store is needed: no database
of an orchestrator, and nothing that an earlier refresh left on this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import ComponentError, SettingsError, raise_all
from hatch_defs_state.refresh.acceptance import Acceptance
from hatch_defs_state.refresh.events import Committed, Notice, Outcome, Report, Waiting
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.refresh.judge import compile_exclude
from hatch_defs_state.refresh.keeping import fill
from hatch_defs_state.refresh.plan import Plan, make_plan
from hatch_defs_state.refresh.remote import run_on
from hatch_defs_state.refresh.run import planned
from hatch_defs_state.refresh.stored import StoredState
from hatch_defs_state.refresh.supervisor import Supervisor
from hatch_defs_state.storage.generation import Generation
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import Manifest
from hatch_defs_state.storage.versioned import is_marker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.versioned import Commit, VersionedStorage

KIND = ManagementType.VERSIONED_STATE_STORAGE


@dataclass(frozen=True)
class Renewal:
    """Versioned state that was written and accepted, before any of it is current.

    Attributes:
        folders: For every key whose state has changed, the folder with `state` and its siblings.
        kept: For every other key, the version that stays current.
    """

    folders: Mapping[str, Path]
    kept: Mapping[str, str]


def refresh_versioned(
    project: Project,
    settings: Settings,
    storage: VersionedStorage,
    workspace: Workspace,
    report: Report,
    executor: Executor | None = None,
) -> Commit:
    """Run the writers of all versioned state, and make what they wrote current in one commit.

    Args:
        project: The project.
        settings: Ours.
        storage: Where the states are kept.
        workspace: Where it works; one refresh of a project at a time.
        report: Receives the events.
        executor: Runs the writers, perhaps elsewhere; processes of this machine by default.

    Returns:
        The new commit; the head, when nothing has changed.

    Raises:
        DefsStateError: Everything that is wrong with components, keys, writers and their state, and
            with the store; nothing has become current.
    """
    with workspace.alone(lambda holder: report(Waiting(holder))) as scratch:
        renewal = renew(project, settings, storage, scratch, report, executor=executor)
        count = len(renewal.folders)
        message = f"refresh {project.config.name}: {count} of {count + len(renewal.kept)} keys"
        commit = storage.push(renewal.folders, message) if renewal.folders else storage.head()
    versions = {key: commit.version_of(key) or "" for key in renewal.folders}
    report(Committed(storage.url, commit.serial, versions, {**renewal.kept, **versions}))
    return commit


def renew(
    project: Project,
    settings: Settings,
    storage: VersionedStorage,
    scratch: Path,
    report: Report,
    *,
    keys: Collection[str] | None = None,
    executor: Executor | None = None,
) -> Renewal:
    """Run writers of versioned state and judge what they left; the store is only read.

    Args:
        project: The project.
        settings: Ours.
        storage: Holds the current versions, which new state is compared with.
        scratch: An empty folder outside of the project, in which the result lies.
        report: Receives the events.
        keys: The keys whose writers run; all that are versioned by default.
        executor: Runs the writers, perhaps elsewhere; processes of this machine by default.

    Raises:
        DefsStateError: Everything that is wrong with components, keys, writers and their state.
    """
    if settings.refresh == "frozen":
        raise SettingsError(
            "refresh is frozen: no writer may run, and there is no other way to renew state",
            hint="set `refresh` to another value for this command",
        )
    compile_exclude(settings.exclude)
    head = storage.head()
    if settings.refresh == "reuse":
        report(Notice("refresh = reuse is for local state: all writers of versioned state run"))
    with (
        chosen(project.config, settings, report) as interpreter,
        Supervisor(project, settings, interpreter.executable, scratch) as supervisor,
    ):
        loaded = supervisor.load()
        plan = _chosen(make_plan(loaded.declarations, KIND), keys)
        good = {
            d.key: StoredState(storage, d, head.versions[d.key], scratch / "current")
            for _, d in plan.run
            if d.key in head.versions and not is_marker(head.versions[d.key].version)
        }
        acceptance = Acceptance(settings, report, good, versions=loaded.versions)
        report(planned(plan, loaded))
        if not plan.run:
            report(Notice(f"no component keeps its state in {KIND.value}", warning=True))
        if executor is None:
            supervisor.run(plan.run, report, acceptance.finish)
    if executor is not None:
        run_on(executor, project, settings, plan.run, scratch, report, acceptance.finish)
    raise_all(acceptance.errors)
    changed = [key for key, r in acceptance.results.items() if r.outcome is Outcome.REFRESHED]
    return Renewal(
        folders=_collect(project, acceptance, changed, scratch),
        kept={key: head.versions[key].version for key in acceptance.results if key not in changed},
    )


def _chosen(plan: Plan, keys: Collection[str] | None) -> Plan:
    if keys is None:
        return plan
    unknown = set(keys) - {declaration.key for _, declaration in plan.run}
    raise_all(
        ComponentError(f"no component with {KIND.value} has this key", key=key)
        for key in sorted(unknown)
    )
    return Plan(tuple((i, d) for i, d in plan.run if d.key in keys), ())


def _collect(
    project: Project, acceptance: Acceptance, keys: Collection[str], scratch: Path
) -> dict[str, Path]:
    """Put what was accepted, and nothing else, into one folder a key."""
    results = {key: acceptance.results[key] for key in keys}
    folder = scratch / "accepted"
    folder.mkdir()
    files = {
        f"{folder_name(key)}/{path}": file
        for key, result in results.items()
        for path, file in result.paths.items()
    }
    manifest = Manifest(project.config.name, {key: r.entry for key, r in results.items()})
    fill(folder, Generation(manifest, files), scratch)
    return {key: folder / folder_name(key) for key in results}
