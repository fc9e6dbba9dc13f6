"""One refresh that runs writers: the rest of it is reused, all of it is judged and kept."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StateError, raise_all
from hatch_defs_state.refresh.baseline import GoodState, last_good
from hatch_defs_state.refresh.dates import written_at
from hatch_defs_state.refresh.events import Finished, Notice, Outcome, Output, Planned, Report
from hatch_defs_state.refresh.extent import measure_extent
from hatch_defs_state.refresh.fingerprint import Fingerprints
from hatch_defs_state.refresh.interpreters.choice import needs
from hatch_defs_state.refresh.interpreters.locks import differences
from hatch_defs_state.refresh.judge import JudgedState, compile_exclude, judge
from hatch_defs_state.refresh.plan import Plan, make_plan
from hatch_defs_state.refresh.record import KeyRecord, Record
from hatch_defs_state.refresh.remote import run_on
from hatch_defs_state.refresh.reuse import assess, readable
from hatch_defs_state.refresh.supervisor import Supervisor
from hatch_defs_state.requirements import distribution_names
from hatch_defs_state.storage.generation import Generation
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.errors import SourceLocation
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.attempt import Ended
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.loaded import Loaded
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings


@dataclass(frozen=True)
class _Result:
    """State of one key that goes into the generation."""

    entry: KeyEntry
    paths: Mapping[str, Path]
    record: KeyRecord


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
    _results: dict[str, _Result] = field(default_factory=dict)
    _errors: list[DefsStateError] = field(default_factory=list)

    def refresh(self) -> Generation:
        """Load the project, run the writers that have to run, and keep what they wrote."""
        compile_exclude(self.settings.exclude)
        self._good = last_good(self.project, self.workspace)
        names = distribution_names(needs(self.project.config, self.settings))
        before = self.workspace.record()
        salt = before.salt if before else uuid.uuid4().hex
        fingerprints = Fingerprints(self.project, self.settings, salt, self.interpreter)
        # Taken before anything is read: what changes meanwhile counts as a change the next time.
        common, declared = fingerprints.common(), fingerprints.declared()
        with Supervisor(
            self.project, self.settings, self.interpreter.executable, self.scratch, names
        ) as supervisor:
            self._loaded = supervisor.load()
            plan = make_plan(self._loaded.declarations)
            self._parts = {d.key: fingerprints.of(d) for _, d in plan.run}
            reused = self._reusable(plan, before)
            self.report(_planned(plan, self._loaded, reused))
            for _, declaration in plan.run:
                if declaration.key in reused:
                    self._reuse(declaration, reused[declaration.key])
            tasks = [(index, d) for index, d in plan.run if d.key not in reused]
            if self.executor is None:
                supervisor.run(tasks, self.report, self._finish)
        if self.executor is not None:
            run_on(
                self.executor,
                self.project,
                self.settings,
                tasks,
                self.scratch,
                self.report,
                self._finish,
            )
        raise_all(self._errors)
        generation = self._assemble(plan)
        for warning in differences(self.project.config, generation.manifest):
            self.report(Notice(warning, warning=True))
        return self.workspace.keep(
            generation,
            Record(
                generation=uuid.uuid4().hex,
                manifest=generation.manifest,
                common=common,
                declared=declared,
                keys={key: result.record for key, result in self._results.items()},
                warnings=self._loaded.warnings,
                salt=salt,
            ),
        )

    def _reusable(self, plan: Plan, record: Record | None) -> dict[str, GoodState]:
        if self.settings.refresh != "reuse":
            return {}
        declarations = [declaration for _, declaration in plan.run]
        staleness = assess(
            self.project, self.settings, record, declarations, interpreter=self.interpreter
        )
        return {
            key: self._good[key]
            for key, reasons in staleness.keys.items()
            if not reasons and key in self._good and self._good[key].is_sound()
        }

    def _reuse(self, declaration: ComponentDeclaration, state: GoodState) -> None:
        assert state.record is not None  # noqa: S101 - only recorded states are found unchanged
        entry = replace(state.entry, source=_place(declaration))
        record = replace(state.record, declaration=declaration)
        self._results[declaration.key] = _Result(entry, state.paths, record)
        self.report(Finished(declaration.key, Outcome.REUSED, size=entry.size))

    def _finish(self, ended: Ended) -> None:
        declaration = ended.attempt.declaration
        key = declaration.key
        if ended.output:
            self.report(Output(key, ended.output))
        error, outcome = ended.error, ended.outcome
        if outcome is Outcome.CANCELLED:
            self.report(Finished(key, outcome, ended.seconds))
            return
        if error is None:
            try:
                state = judge(ended.folder, declaration, self.settings.exclude)
                self._compare(declaration, state)
                outcome = self._accept(declaration, state)
            except DefsStateError as unacceptable:
                error, outcome = unacceptable, Outcome.FAILED
        note = None
        if error is not None:
            note = self._stand_in(declaration, error)
            outcome = outcome if note is None else Outcome.LAST_GOOD
        result = self._results.get(key)
        size = result.entry.size if result else 0
        self.report(Finished(key, outcome, ended.seconds, size, error, note))

    def _compare(self, declaration: ComponentDeclaration, state: JudgedState) -> None:
        """Raise a `StateError` for state that is empty or has shrunk too much."""
        key = declaration.key
        extent = measure_extent(state.files, state.paths)
        good = self._good.get(key)
        before = good.extent() if good else None
        if self.settings.may_be_empty(key):
            return
        if extent.is_empty:
            had = f"; the last good one has {before.size} bytes" if before else ""
            raise StateError(
                f"the state is empty{had}",
                key=key,
                location=declaration.location,
                hint=f'if it may be, set `allow-empty = ["{key}"]`',
            )
        if before is None:
            return
        fall, counts = extent.fall_from(before)
        limit = self.settings.of(key).max_shrink
        if fall > limit:
            raise StateError(
                f"the state has shrunk by {fall:.0%}, more than max-shrink ({limit:.0%}): "
                f"it has {counts}",
                key=key,
                location=declaration.location,
                hint="if that is right, raise `max-shrink` for this build",
            )

    def _accept(self, declaration: ComponentDeclaration, state: JudgedState) -> Outcome:
        key = declaration.key
        entry = self._entry(declaration, state.files)
        good = self._good.get(key)
        unchanged = good is not None and good.entry.digest == entry.digest
        if unchanged and good is not None:
            entry = replace(entry, written_at=good.entry.written_at)
        record = KeyRecord(declaration, self._parts[key], time.time())
        self._results[key] = _Result(entry, state.paths, record)
        return Outcome.UNCHANGED if unchanged else Outcome.REFRESHED

    def _stand_in(self, declaration: ComponentDeclaration, error: DefsStateError) -> str | None:
        """Use the last good state of a key where that is allowed; note the error where not."""
        key = declaration.key
        settings = self.settings.of(key)
        good = self._good.get(key)
        if settings.on_failure != "last-good":
            self._errors.append(error)
            return None
        age = time.time() - good.refreshed_at if good else 0.0
        if good is None or not good.is_sound():
            refusal = "there is no last good state to use"
        elif settings.max_age is not None and age > settings.max_age:
            refusal = (
                f"its last good state is {readable(age)} old, "
                f"max-age is {readable(settings.max_age)}"
            )
        else:
            entry = replace(good.entry, last_good_age=int(age), source=_place(declaration))
            record = good.record or KeyRecord(declaration, {}, good.refreshed_at)
            self._results[key] = _Result(entry, good.paths, record)
            return f"its last good state, {readable(age)} old, is used"
        error.message = f"{error.message}; {refusal}"
        self._errors.append(error)
        return None

    def _entry(self, declaration: ComponentDeclaration, files: Mapping[str, object]) -> KeyEntry:
        local = bool(files)
        return KeyEntry(
            component_type=declaration.component_type,
            source=_place(declaration),
            management_type=declaration.management_type,
            files=files,  # type: ignore[arg-type]
            versions=self._loaded.versions if local else {},
            written_at=written_at() if local else None,
        )

    def _assemble(self, plan: Plan) -> Generation:
        ordered = [declaration.key for _, declaration in plan.run]
        manifest = Manifest(
            project=self.project.config.name,
            keys={key: self._results[key].entry for key in ordered},
            elsewhere={d.key: self._entry(d, {}) for d in plan.elsewhere},
        )
        files = {
            f"{folder_name(key)}/{path}": file
            for key, result in self._results.items()
            for path, file in result.paths.items()
        }
        return Generation(manifest, files)


def _place(declaration: ComponentDeclaration) -> SourceLocation:
    """Return where a component is declared, as manifests have it."""
    return replace(declaration.location, column=None)


def _planned(plan: Plan, loaded: Loaded, reused: Mapping[str, GoodState]) -> Planned:
    return Planned(
        keys=tuple(d.key for _, d in plan.run if d.key not in reused),
        reused=tuple(reused),
        elsewhere=tuple((d.key, d.management_type.value) for d in plan.elsewhere),
        warnings=loaded.warnings,
        locations={d.key: d.location for d in (*(d for _, d in plan.run), *plan.elsewhere)},
    )
