"""What becomes of what writers left: accepted, refused, or replaced by the last good state."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StateError
from hatch_defs_state.refresh.dates import written_at
from hatch_defs_state.refresh.events import Finished, Outcome, Output, Report
from hatch_defs_state.refresh.extent import measure_extent
from hatch_defs_state.refresh.judge import JudgedState, judge
from hatch_defs_state.refresh.record import KeyRecord
from hatch_defs_state.refresh.reuse import readable
from hatch_defs_state.storage.manifest import KeyEntry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.errors import SourceLocation
    from hatch_defs_state.refresh.attempt import Ended
    from hatch_defs_state.refresh.baseline import Baseline, GoodState
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.measure import FileEntry


@dataclass(frozen=True)
class Result:
    """State of one key that is used."""

    entry: KeyEntry
    paths: Mapping[str, Path]
    record: KeyRecord
    outcome: Outcome


@dataclass
class Acceptance:
    """Judges what writers left, compares it with the last good state, and decides.

    Attributes:
        settings: Ours.
        report: Told of the end of every key.
        good: The last good state of every key that has one.
        parts: What states depend on, by key; see `fingerprint`.
        versions: Versions of the distributions that writers use.
        results: What is used, by key.
        errors: Why keys have no state that can be used.
    """

    settings: Settings
    report: Report
    good: Mapping[str, Baseline]
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    errors: list[DefsStateError] = field(default_factory=list)

    def reuse(self, declaration: ComponentDeclaration, state: GoodState) -> None:
        """Use the last good state of a key without running its writer."""
        entry = replace(state.entry, source=place(declaration))
        record = state.record or KeyRecord(declaration, {}, state.refreshed_at)
        record = replace(record, declaration=declaration)
        self.results[declaration.key] = Result(entry, state.paths, record, Outcome.REUSED)
        self.report(Finished(declaration.key, Outcome.REUSED, size=entry.size))

    def finish(self, ended: Ended) -> None:
        """Decide about a key whose last attempt has ended."""
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
        result = self.results.get(key)
        size = result.entry.size if result else 0
        self.report(Finished(key, outcome, ended.seconds, size, error, note))

    def _compare(self, declaration: ComponentDeclaration, state: JudgedState) -> None:
        """Raise a `StateError` for state that is empty or has shrunk too much."""
        key = declaration.key
        if self.settings.may_be_empty(key):
            return
        extent = measure_extent(state.files, state.paths)
        good = self.good.get(key)
        if extent.is_empty:
            before = good.extent() if good else None
            had = f"; the last good one has {before.size} bytes" if before else ""
            raise StateError(
                f"the state is empty{had}",
                key=key,
                location=declaration.location,
                hint=f'if it may be, set `allow-empty = ["{key}"]`',
            )
        before = None if good is None or good.holds(state.files) else good.extent()
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
        entry = self.entry(declaration, state.files)
        good = self.good.get(key)
        outcome = Outcome.REFRESHED
        if good is not None and good.holds(state.files):
            outcome = Outcome.UNCHANGED
            entry = replace(entry, written_at=good.written_at)
        record = KeyRecord(declaration, self.parts.get(key, {}), time.time())
        self.results[key] = Result(entry, state.paths, record, outcome)
        return outcome

    def _stand_in(self, declaration: ComponentDeclaration, error: DefsStateError) -> str | None:
        """Use the last good state of a key where that is allowed; note the error where not."""
        key = declaration.key
        settings = self.settings.of(key)
        good = self.good.get(key)
        if settings.on_failure != "last-good":
            self.errors.append(error)
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
            entry = replace(good.entry, last_good_age=int(age), source=place(declaration))
            record = good.record or KeyRecord(declaration, {}, good.refreshed_at)
            self.results[key] = Result(entry, good.paths, record, Outcome.LAST_GOOD)
            return f"its last good state, {readable(age)} old, is used"
        error.message = f"{error.message}; {refusal}"
        self.errors.append(error)
        return None

    def entry(self, declaration: ComponentDeclaration, files: Mapping[str, FileEntry]) -> KeyEntry:
        """Return what a manifest says of a state; without files, of one that is kept elsewhere."""
        local = bool(files)
        return KeyEntry(
            component_type=declaration.component_type,
            source=place(declaration),
            management_type=declaration.management_type,
            files=files,
            versions=self.versions if local else {},
            written_at=written_at() if local else None,
        )


def place(declaration: ComponentDeclaration) -> SourceLocation:
    """Return where a component is declared, as manifests have it."""
    return replace(declaration.location, column=None)
