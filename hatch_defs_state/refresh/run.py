"""One refresh that runs writers: the rest of it is reused, all of it is judged and kept."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_defs_state.errors import raise_all
from hatch_defs_state.refresh.acceptance import Acceptance
from hatch_defs_state.refresh.baseline import GoodState, in_tree, last_good
from hatch_defs_state.refresh.events import Notice, Planned, Report
from hatch_defs_state.refresh.fingerprint import Fingerprints
from hatch_defs_state.refresh.interpreters.choice import needs
from hatch_defs_state.refresh.interpreters.locks import differences
from hatch_defs_state.refresh.judge import compile_exclude
from hatch_defs_state.refresh.plan import Plan, make_plan
from hatch_defs_state.refresh.record import Record
from hatch_defs_state.refresh.remote import run_on
from hatch_defs_state.refresh.reuse import assess
from hatch_defs_state.refresh.supervisor import Supervisor
from hatch_defs_state.requirements import distribution_names
from hatch_defs_state.storage.generation import Generation
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.loaded import Loaded
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings


@dataclass
class Run:
    """One refresh; see `engine.refresh` for what it is given."""

    project: Project
    settings: Settings
    workspace: Workspace
    report: Report
    scratch: Path
    interpreter: Interpreter
    executor: Executor | None = None
    wanted: Callable[[ComponentDeclaration], bool] | None = None

    def refresh(self) -> Generation:
        """Load the project, run the writers that have to run, and keep what they wrote."""
        compile_exclude(self.settings.exclude)
        before = self.workspace.record()
        good = last_good(self.project, self.workspace, before)
        names = distribution_names(needs(self.project.config, self.settings))
        salt = before.salt if before else uuid.uuid4().hex
        fingerprints = Fingerprints(self.project, self.settings, salt, self.interpreter)
        # Taken before anything is read: what changes meanwhile counts as a change the next time.
        common, declared = fingerprints.common(), fingerprints.declared()
        with Supervisor(
            self.project, self.settings, self.interpreter.executable, self.scratch, names
        ) as supervisor:
            loaded = supervisor.load()
            plan, kept = self._restrict(make_plan(loaded.declarations))
            parts = {d.key: fingerprints.of(d) for _, d in plan.run}
            acceptance = Acceptance(self.settings, self.report, good, parts, loaded.versions)
            reused = kept or self._reusable(plan, before, good)
            self.report(planned(plan, loaded, reused))
            for _, declaration in plan.run:
                if declaration.key in reused:
                    acceptance.reuse(declaration, reused[declaration.key])
            tasks = [(index, d) for index, d in plan.run if d.key not in reused]
            if self.executor is None:
                supervisor.run(tasks, self.report, acceptance.finish)
        if self.executor is not None:
            run_on(
                self.executor,
                self.project,
                self.settings,
                tasks,
                self.scratch,
                self.report,
                acceptance.finish,
            )
        raise_all(acceptance.errors)
        generation = assemble(self.project, plan, acceptance)
        for warning in differences(self.project.config, generation.manifest):
            self.report(Notice(warning, warning=True))
        if self.wanted is not None:
            # A part of the state is no baseline for what all of it depends on.
            return generation
        return self.workspace.keep(
            generation,
            Record(
                generation=uuid.uuid4().hex,
                manifest=generation.manifest,
                common=common,
                declared=declared,
                keys={key: result.record for key, result in acceptance.results.items()},
                warnings=loaded.warnings,
                salt=salt,
            ),
        )

    def _restrict(self, plan: Plan) -> tuple[Plan, dict[str, GoodState]]:
        """Leave out what is not wanted; what the tree has of it is kept."""
        if self.wanted is None:
            return plan, {}
        tree = in_tree(self.project)
        away = {d.key for _, d in plan.run if not self.wanted(d)}
        kept = {key: tree[key] for key in away if key in tree}
        run = tuple((i, d) for i, d in plan.run if d.key not in away or d.key in kept)
        return replace(plan, run=run), kept

    def _reusable(
        self, plan: Plan, record: Record | None, good: Mapping[str, GoodState]
    ) -> dict[str, GoodState]:
        if self.settings.refresh != "reuse":
            return {}
        declarations = [declaration for _, declaration in plan.run]
        staleness = assess(
            self.project, self.settings, record, declarations, interpreter=self.interpreter
        )
        return {
            key: good[key]
            for key, reasons in staleness.keys.items()
            if not reasons and key in good and good[key].is_sound()
        }


def assemble(project: Project, plan: Plan, acceptance: Acceptance) -> Generation:
    """Put together the generation of all states that are used."""
    results = acceptance.results
    manifest = Manifest(
        project=project.config.name,
        keys={d.key: results[d.key].entry for _, d in plan.run},
        elsewhere={d.key: acceptance.entry(d, {}) for d in plan.elsewhere},
    )
    files = {
        f"{folder_name(key)}/{path}": file
        for key, result in results.items()
        for path, file in result.paths.items()
    }
    return Generation(manifest, files)


def planned(plan: Plan, loaded: Loaded, reused: Collection[str] = ()) -> Planned:
    """Return the event that announces a plan; the keys `reused` are not run."""
    return Planned(
        keys=tuple(d.key for _, d in plan.run if d.key not in reused),
        reused=tuple(reused),
        elsewhere=tuple((d.key, d.management_type.value) for d in plan.elsewhere),
        warnings=loaded.warnings,
        locations={d.key: d.location for d in (*(d for _, d in plan.run), *plan.elsewhere)},
    )
