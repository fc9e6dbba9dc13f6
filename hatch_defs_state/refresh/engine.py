"""A refresh from end to end: what is reused, what runs, what it is judged to be worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, ManifestError, advise
from hatch_defs_state.refresh.events import Finished, Outcome, Planned, Report, Waiting
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.refresh.interpreters.locks import differences
from hatch_defs_state.refresh.reuse import assess
from hatch_defs_state.storage import generation as generations

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.loaded import Loaded
    from hatch_defs_state.refresh.plan import Plan
    from hatch_defs_state.refresh.record import Record
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.generation import Generation


_UNFREEZE = "run `defs-state refresh` first, or set `refresh` to another value"


def load(
    project: Project, settings: Settings, scratch: Path, interpreter: Interpreter
) -> tuple[Loaded, Plan]:
    """Load the project's components and plan a refresh, without running a writer.

    Args:
        project: The project.
        settings: Ours.
        scratch: An empty folder outside of the project.
        interpreter: The one that would run the writers; see `interpreters.choice`.

    Raises:
        DefsStateError: Everything that is wrong with the components or their keys.
    """
    from hatch_defs_state.refresh.plan import make_plan
    from hatch_defs_state.refresh.supervisor import Supervisor

    with Supervisor(project, settings, interpreter.executable, scratch) as supervisor:
        loaded = supervisor.load()
        return loaded, make_plan(loaded.declarations)


def refresh(
    project: Project,
    settings: Settings,
    workspace: Workspace,
    report: Report,
    executor: Executor | None = None,
    *,
    building: bool = False,
) -> Generation:
    """Return the state of every component, renewed as the settings say.

    Args:
        project: The project.
        settings: Ours.
        workspace: Where it works; the generation's files may lie in it.
        report: Receives the events.
        executor: Runs the writers, perhaps elsewhere; processes of this machine by default.
        building: Whether an artifact is being built; all those of one build share a generation.

    Returns:
        The generation; nothing in the project has changed.

    Raises:
        DefsStateError: Everything that is wrong with components, keys, writers and their state.
    """
    if settings.refresh == "frozen":
        return _frozen(project, report)
    with chosen(project.config, settings, report) as interpreter:
        reusable = _Reusable(project, settings, workspace, report, interpreter, building)
        reused = reusable.take()
        if reused is not None:
            return reused
        from hatch_defs_state.refresh.run import Run

        with workspace.alone(lambda holder: report(Waiting(holder))) as scratch:
            # Another refresh may have done the work while this one waited for it.
            reused = reusable.take()
            if reused is not None:
                return reused
            run = Run(project, settings, workspace, report, scratch, interpreter, executor)
            generation = run.refresh()
            if building:
                _note_build(workspace)
            return generation


def refresh_some(
    project: Project,
    settings: Settings,
    workspace: Workspace,
    report: Report,
    wanted: Callable[[ComponentDeclaration], bool],
) -> Generation:
    """Renew the state of some components, and keep what the tree has of the others.

    Writers run in any case; what was kept for later refreshes stays as it is.

    Args:
        project: The project.
        settings: Ours.
        workspace: Where it works; the generation's files may lie in it.
        report: Receives the events.
        wanted: Whether a component's state is renewed.

    Returns:
        The generation, without keys that are not wanted and that the tree does not have.

    Raises:
        DefsStateError: Everything that is wrong with components, keys, writers and their state.
    """
    from hatch_defs_state.refresh.run import Run

    always = replace(settings, refresh="always")
    with (
        chosen(project.config, settings, report) as interpreter,
        workspace.alone(lambda holder: report(Waiting(holder))) as scratch,
    ):
        run = Run(project, always, workspace, report, scratch, interpreter, wanted=wanted)
        return run.refresh()


def _note_build(workspace: Workspace) -> None:
    from hatch_defs_state.refresh.sharing import note_build

    record = workspace.record()
    if record is not None:
        note_build(workspace, record.generation)


def _frozen(project: Project, report: Report) -> Generation:
    try:
        generation = generations.read(project.state_folder)
    except ManifestError as error:
        raise ManifestError(
            f"refresh is frozen and there is no state to use: {error.message}",
            hint=_UNFREEZE,
        ) from error
    except DefsStateError as error:
        advise(error, _UNFREEZE)
        raise
    _report_reused(generation, {}, report)
    return generation


@dataclass(frozen=True)
class _Reusable:
    """The generation of an earlier refresh, where it may be used again; see `refresh`."""

    project: Project
    settings: Settings
    workspace: Workspace
    report: Report
    interpreter: Interpreter
    building: bool

    def take(self) -> Generation | None:
        """Return the kept generation, without importing the project; `None` if writers must run."""
        if self.settings.refresh != "reuse" and not self.building:
            return None
        record = self.workspace.record()
        if record is None or not (self._is_unchanged(record) or self._is_shared(record)):
            return None
        generation = self.workspace.kept(record)
        if not generations.are_sound(generation.manifest.files, generation.files):
            return None
        warnings = (*record.warnings, *differences(self.project.config, generation.manifest))
        _report_reused(generation, _elsewhere(record), self.report, warnings)
        return generation

    def _is_unchanged(self, record: Record) -> bool:
        if self.settings.refresh != "reuse":
            return False
        return assess(self.project, self.settings, record, interpreter=self.interpreter).nothing

    def _is_shared(self, record: Record) -> bool:
        if not self.building:
            return False
        from hatch_defs_state.refresh.sharing import made_by_this_build, same_inputs

        return made_by_this_build(self.workspace, record) and same_inputs(
            self.project, self.settings, record, self.interpreter
        )


def _elsewhere(record: Record) -> dict[str, str]:
    return {key: e.management_type.value for key, e in record.manifest.elsewhere.items()}


def _report_reused(
    generation: Generation,
    elsewhere: dict[str, str],
    report: Report,
    warnings: tuple[str, ...] = (),
) -> None:
    keys = generation.manifest.keys
    locations = {key: entry.source for key, entry in keys.items()}
    report(Planned((), tuple(keys), tuple(elsewhere.items()), warnings, locations))
    for key, entry in keys.items():
        report(Finished(key, Outcome.REUSED, size=entry.size))
