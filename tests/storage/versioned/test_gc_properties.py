"""What holds for clean-up whatever a store has gone through."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hatch_defs_state.storage.versioned import ObjectInfo, Retention, VersionedStorage, collect
from hatch_defs_state.storage.versioned.layout import file_path, manifest_path, state_path
from hatch_defs_state.storage.versioned.retention import judge, oldest_kept, units_of

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned import Lease

NOW = 1_000_000.0

times = st.floats(0, NOW, allow_nan=False)
retentions = st.builds(
    Retention,
    keep_commits=st.integers(1, 8),
    keep_age=st.sampled_from([0.0, 10.0, 1000.0, 900_000.0]),
    grace=st.sampled_from([0.0, 5.0, 1000.0]),
)
histories = st.dictionaries(st.integers(1, 30), times, max_size=12)

versions = st.sampled_from(
    [
        "0b9b1b60-4a1e-8c3d-9a55-6f2f6f1c7d10",  # derived, plain
        "0b9b1b60-4a1e-8c3d-9a55-6f2f6f1c7d11",  # derived, with a manifest
        "0f6e3c1a-3f0e-4c8b-9a55-6f2f6f1c7d10",  # Dagster's
        "named-by-a-user",
    ]
)
keys = st.sampled_from(["a", "b/c"])
object_paths = st.one_of(
    st.builds(state_path, keys, versions),
    st.builds(manifest_path, keys, versions),
    st.sampled_from(["11" * 32, "22" * 32, "33" * 32]).map(file_path),
    st.sampled_from(["@defs-state/format.json", "@defs-state/pins/x.json", "a/b/c", "top"]),
)
listings = st.dictionaries(object_paths, times, max_size=10).map(
    lambda found: [ObjectInfo(path, 1, modified) for path, modified in found.items()]
)


@given(histories, retentions)
def test_history_is_kept_as_long_as_was_said(
    written: dict[int, float], retention: Retention
) -> None:
    floor = oldest_kept(written, NOW, retention)
    serials = sorted(written)
    kept = [serial for serial in serials if serial >= floor]
    assert len(kept) >= min(retention.keep_commits, len(serials))
    assert serials[-1:] == kept[-1:]
    for serial, successor in pairwise(serials):
        if written[successor] > NOW - retention.keep_age:
            assert serial >= floor
    if len(kept) > retention.keep_commits:
        assert written[kept[1]] > NOW - retention.keep_age


@given(listings, st.frozensets(object_paths), st.data(), retentions, st.booleans())
def test_only_what_is_old_and_unneeded_and_marked_long_ago_is_removed(
    objects: list[ObjectInfo],
    needed: frozenset[str],
    data: st.DataObject,
    retention: Retention,
    unknown: bool,
) -> None:
    units = units_of(objects)
    all_paths = [path for unit in units for path in unit.paths]
    assert len(all_paths) == len(set(all_paths))
    assert set(all_paths) <= {info.path for info in objects}
    assert not any("format" in path or "pins" in path for path in all_paths)
    modified = {info.path: info.modified for info in objects}
    names = st.sampled_from([unit.name for unit in units] or ["none"])
    marks = data.draw(st.dictionaries(names, times))
    verdict = judge(units, needed, marks, NOW, retention, unknown=unknown)
    unneeded = [unit for unit in units if needed.isdisjoint(unit.paths)]
    parts = (*verdict.doomed, *verdict.waiting, *verdict.young, *verdict.foreign)
    assert sorted(parts, key=lambda unit: unit.name) == sorted(unneeded, key=lambda unit: unit.name)
    for unit in verdict.doomed:
        assert all(modified[path] <= NOW - retention.keep_age for path in unit.paths)
        assert verdict.marks[unit.name] <= NOW - retention.grace
        if retention.grace:
            assert all(modified[path] <= marks[unit.name] for path in unit.paths)
        assert unit.is_ours or (unknown and unit.is_dagsters)
    assert verdict.marks.keys() == {unit.name for unit in (*verdict.doomed, *verdict.waiting)}
    # Nothing happens to them until the grace period is over: then all of them go.
    later = judge(units, needed, verdict.marks, NOW + retention.grace, retention, unknown=unknown)
    assert {*verdict.doomed, *verdict.waiting} <= set(later.doomed)
    assert not set(later.doomed) & set(verdict.foreign)


class Life(RuleBasedStateMachine):
    """A store that is pushed to, rolled back, pinned and cleaned up, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = VersionedStorage(f"memory://{uuid.uuid4()}")
        self.folder = Path(tempfile.mkdtemp())
        self.commits: list[dict[str, str]] = [{}]
        self.floor = 1
        self.pins: dict[str, tuple[Lease, dict[str, str]]] = {}
        self.pointer: dict[str, set[str]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _remember(self, serial: int) -> None:
        if serial == len(self.commits):
            head = self.storage.commit(serial)
            self.commits.append({key: value.version for key, value in head.versions.items()})
        assert serial == len(self.commits) - 1

    @rule(key=st.sampled_from("ab"), number=st.integers(0, 3), siblings=st.booleans())
    def push(self, key: str, number: int, siblings: bool) -> None:
        target = self.folder / f"{number}-{siblings}"
        target.mkdir(exist_ok=True)
        (target / "state").write_text(str(number))
        if siblings:
            (target / "own").write_text(f"own {number}")
            (target / "shared").write_text("shared")
        self._remember(self.storage.push({key: target}).serial)

    @precondition(lambda self: len(self.commits) > self.floor)
    @rule(back=st.integers(0, 3))
    def roll_back(self, back: int) -> None:
        serial = max(self.floor, len(self.commits) - 1 - back)
        self._remember(self.storage.rollback(serial).serial)
        assert self.commits[-1] == self.commits[serial]

    @precondition(lambda self: len(self.commits) > self.floor)
    @rule(name=st.sampled_from("xy"), back=st.integers(0, 3))
    def pin(self, name: str, back: int) -> None:
        serial = max(self.floor, len(self.commits) - 1 - back)
        _, lease = self.storage.pin(serial, name=name, ttl=None)
        self.pins[name] = lease, self.commits[serial]

    @rule(name=st.sampled_from("xy"))
    def unpin(self, name: str) -> None:
        if name in self.pins:
            self.pins.pop(name)[0].release()

    @rule()
    def point(self) -> None:
        """Let somebody else's pointer name what is current now."""
        self.pointer = {key: {version} for key, version in self.commits[-1].items()}

    @rule(keep=st.integers(1, 3))
    def clean_up(self, keep: int) -> None:
        retention = Retention(keep_commits=keep, keep_age=0, grace=0)
        self._collect(retention)
        self.floor = max(self.floor, len(self.commits) - keep)
        report = self.storage.verify(deep=False)
        stays = [versions for _, versions in self.pins.values()]
        named = {(key, version) for pin in stays for key, version in pin.items()}
        named |= {(key, version) for key, found in self.pointer.items() for version in found}
        allowed = {path for item in named for path in self.storage.objects_of(*item)}
        assert set(report.unreferenced) <= allowed

    def _collect(self, retention: Retention) -> None:
        foreseen = collect(self.storage, retention, also=self.pointer, dry_run=True)
        assert collect(self.storage, retention, also=self.pointer) == foreseen
        assert collect(self.storage, retention, also=self.pointer).removed == ()

    @invariant()
    def what_was_promised_is_there(self) -> None:
        kept = self.commits[self.floor :]
        pinned = [versions for _, versions in self.pins.values()]
        pointed = [{key: version} for key, found in self.pointer.items() for version in found]
        for versions in (*kept, *pinned, *pointed):
            for key, version in versions.items():
                target = self.folder / uuid.uuid4().hex
                self.storage.fetch(key, version, target)
        serials = [entry.serial for entry in self.storage.log()]
        assert serials == list(range(len(self.commits) - 1, self.floor - 1, -1))
        assert self.storage.verify(deep=False).is_clean


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
