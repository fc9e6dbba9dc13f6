"""Clean-up removes what nothing needs any more, later, and nothing else."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.errors import CommitNotFoundError, StoreFormatError, StoreUnavailableError
from hatch_defs_state.storage.versioned import (
    Retention,
    VersionedStorage,
    collect,
    open_store,
    read_pins,
    sweep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Collection, ObjectStore, Unit

DAY = 86400.0
LAST_ONLY = Retention(keep_commits=1, keep_age=0, grace=0)
HANDED_IN = "0f6e3c1a-3f0e-4c8b-9a55-6f2f6f1c7d10"


@pytest.fixture
def local(tmp_path: Path) -> VersionedStorage:
    return VersionedStorage(tmp_path / "store")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the folder of a state: `state`, and siblings by name."""

    def make(text: str, **siblings: str) -> Path:
        folder = tmp_path / "states" / "-".join([text, *siblings.values()])
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {"state": text, **siblings}.items():
            (folder / name).write_text(content)
        return folder

    return make


def paths(store: ObjectStore) -> set[str]:
    return {info.path for info in store.list("")}


def names(units: Iterable[Unit]) -> set[str]:
    return {unit.name for unit in units}


def age(storage: VersionedStorage, days: float, *, under: str = "") -> None:
    """Make objects of a local store older than they are."""
    for info in storage.store.list(under):
        moment = info.modified - days * DAY
        os.utime(f"{storage.url}/{info.path}", (moment, moment))


def age_marks(storage: VersionedStorage, seconds: float) -> None:
    values = json.loads(storage.store.get("@defs-state/marks.json"))
    marks = {name: at - seconds for name, at in values["marks"].items()}
    storage.store.replace("@defs-state/marks.json", json.dumps({**values, "marks": marks}).encode())


def test_old_commits_go_with_what_only_they_named(
    storage: VersionedStorage, write: Callable[..., Path], tmp_path: Path
) -> None:
    first = storage.push({"k": write("1", a="a", b="b"), "j": write("j")})
    second = storage.push({"k": write("2", a="a", c="c")})
    third = storage.push({"k": write("3", a="a")})
    found = collect(storage, LAST_ONLY)
    assert found.forgotten == (1, 2)
    assert (found.oldest, found.kept) == (3, 1)
    gone = {f"k/{first.version_of('k')}", f"k/{second.version_of('k')}"}
    assert gone < names(found.removed)
    assert len(found.removed) == 4  # and the files b and c
    assert [entry.serial for entry in storage.log()] == [3]
    report = storage.verify()
    assert (report.problems, report.unreferenced) == ((), ())
    storage.fetch_all({"k": str(third.version_of("k")), "j": str(first.version_of("j"))}, tmp_path)
    assert (tmp_path / "k" / "a").read_text() == "a"
    with pytest.raises(CommitNotFoundError):
        storage.rollback(2)
    assert collect(storage, LAST_ONLY).removed == ()


def test_what_was_current_recently_stays(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    for number in range(5):
        local.push({"k": write(str(number))})
        age(local, 10)
    local.push({"k": write("5")})
    # Commit 5 was written ten days ago, and was current until a moment ago.
    found = collect(local, Retention(keep_commits=1, keep_age=7 * DAY, grace=0))
    assert found.forgotten == (1, 2, 3, 4)
    assert [entry.serial for entry in local.log()] == [6, 5]
    assert len(found.removed) == 4
    assert local.rollback(5).serial == 7


def test_the_last_commits_stay_however_old(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    for number in range(5):
        local.push({"k": write(str(number))})
    age(local, 1000)
    assert collect(local, Retention(keep_commits=3, grace=0)).forgotten == (1, 2)
    assert local.verify().unreferenced == ()


def test_it_marks_first_and_removes_later(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    version = local.push({"k": write("1", a="a")}).version_of("k")
    local.push({"k": write("2")})
    age(local, 30)
    retention = Retention(keep_commits=1, grace=3600)
    before = paths(local.store)
    found = collect(local, retention)
    assert (found.removed, found.forgotten) == ((), (1,))
    assert f"k/{version}" in names(found.waiting)
    assert paths(local.store) - before == {"@defs-state/floor.json", "@defs-state/marks.json"}
    age_marks(local, 3000)
    assert collect(local, retention).removed == ()
    age_marks(local, 601)
    assert names(collect(local, retention).removed) == names(found.waiting)
    assert local.verify().unreferenced == ()


def test_what_comes_back_in_the_grace_period_is_not_marked_any_more(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    old = write("1", a="a")
    version = local.push({"k": old}).version_of("k")
    local.push({"k": write("2")})
    age(local, 30)
    retention = Retention(keep_commits=1, grace=3600)
    waiting = names(collect(local, retention).waiting)
    local.push({"k": old})
    age_marks(local, 7200)
    assert f"k/{version}" in waiting
    assert collect(local, retention).removed == ()
    local.push({"k": write("3")})
    age(local, 30)
    # The mark of an hour ago is forgotten: the grace period has begun anew.
    assert collect(local, retention).removed == ()


def test_pins_are_respected(storage: VersionedStorage, write: Callable[..., Path]) -> None:
    storage.push({"k": write("1", a="a"), "j": write("j")})
    commit, lease = storage.pin(1, name="release-7", ttl=None)
    storage.push({"k": write("2"), "j": write("jj")})
    found = collect(storage, LAST_ONLY)
    assert found.removed == ()
    assert [(pin.name, pin.serial) for pin in found.pins] == [("release-7", 1)]
    versions = {key: value.version for key, value in commit.versions.items()}
    restored = storage.restore(versions, "back to release-7", rollback_of=1)
    assert (restored.serial, restored.entry.rollback_of) == (3, 1)
    lease.release()
    assert len(collect(storage, LAST_ONLY).removed) == 2  # what the second commit named


@pytest.mark.parametrize(("ended_seconds_ago", "is_kept"), [(10, True), (290, True), (310, False)])
def test_clocks_may_differ(
    local: VersionedStorage,
    write: Callable[..., Path],
    ended_seconds_ago: float,
    is_kept: bool,
) -> None:
    version = str(local.push({"k": write("1")}).version_of("k"))
    local.hold({"k": version}, ttl=-ended_seconds_ago)
    local.push({"k": write("2")})
    assert (collect(local, LAST_ONLY).removed == ()) is is_kept


def test_what_others_point_to_or_may_have_written_stays(
    storage: VersionedStorage, write: Callable[..., Path], tmp_path: Path
) -> None:
    storage.push({"k": write("1")})
    state = tmp_path / "as Dagster writes it"
    state.write_bytes(b"{}")
    uuids = [f"{number}{HANDED_IN[1:]}" for number in range(3)]
    for uuid in uuids:
        storage.store.create(f"k/{uuid}", state.read_bytes())
    storage.store.create("k/notes.txt", b"whose?")
    storage.store.create("elsewhere/deep/er", b"whose?")
    storage.set_version("k", uuids[0])
    storage.set_version("k", None)
    found = collect(storage, LAST_ONLY, also={"k": {uuids[0]}})
    assert names(found.foreign) == {f"k/{uuids[1]}", f"k/{uuids[2]}", "k/notes.txt"}
    assert f"k/{uuids[0]}" not in names(found.removed)
    # One that was taken over is ours; others are removed only on request.
    assert names(collect(storage, LAST_ONLY).removed) == {f"k/{uuids[0]}"}
    found = collect(storage, LAST_ONLY, also={"k": {uuids[1]}}, unknown=True)
    assert names(found.removed) == {f"k/{uuids[2]}"}
    assert paths(storage.store) >= {f"k/{uuids[1]}", "k/notes.txt", "elsewhere/deep/er"}


def test_a_dry_run_writes_nothing_and_tells_what_would_be(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    local.push({"k": write("1", a="a")})
    local.push({"k": write("2")})
    before = {path: local.store.get(path) for path in paths(local.store)}
    foreseen = collect(local, LAST_ONLY, dry_run=True)
    assert {path: local.store.get(path) for path in paths(local.store)} == before
    done = collect(local, LAST_ONLY)
    assert foreseen == done
    assert len(done.removed) == 2


def test_a_store_that_was_never_written_stays_so(tmp_path: Path) -> None:
    found = collect(VersionedStorage(tmp_path / "nothing"), LAST_ONLY)
    assert (found.kept, found.removed) == (0, ())
    assert list(tmp_path.iterdir()) == []


def test_uploads_without_a_commit_are_kept_while_they_are_young(
    local: VersionedStorage, write: Callable[..., Path], tmp_path: Path
) -> None:
    local.push({"k": write("1", shared="long known")})
    local.push({"k": write("2")})
    age(local, 30)
    version = local.upload("new", write("n", shared="long known"))
    retention = Retention(keep_commits=1, grace=0)
    found = collect(local, retention)
    assert names(found.young) == {f"new/{version}"}
    local.set_version("new", version)
    local.fetch("new", version, tmp_path / "out")
    assert (tmp_path / "out" / "shared").read_text() == "long known"
    orphan = local.upload("orphan", write("o", mine="only mine"))
    age(local, 30)
    assert f"orphan/{orphan}" in names(collect(local, retention).removed)
    assert local.verify().unreferenced == ()


def test_leftovers_of_crashes_go_after_a_day(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    local.push({"k": write("1")})
    old = ["@defs-state/unfinished/x", "@defs-state/probes/y"]
    dead = b'{"schema": 1, "objects": [], "expires": 1}'
    for path in old:
        local.store.create(path, b"half")
    local.store.create("@defs-state/condemned/gc-1.json", dead)
    local.hold({"k": "a"}, name="ended", ttl=-2 * DAY)
    local.hold({"k": "a"}, name="for-ever", ttl=None)
    age(local, 2)
    local.store.create("@defs-state/unfinished/young", b"half")
    leftovers = {*old, "@defs-state/condemned/gc-1.json", "@defs-state/pins/ended.json"}
    assert set(collect(local, Retention()).leftovers) == leftovers
    assert paths(local.store) & {*leftovers, "@defs-state/unfinished/young"} == {
        "@defs-state/unfinished/young"
    }
    assert [pin.name for pin in read_pins(local.store)] == ["for-ever"]


def test_unreadable_pins_stop_it(local: VersionedStorage, write: Callable[..., Path]) -> None:
    local.push({"k": write("1")})
    local.push({"k": write("2")})
    local.store.create("@defs-state/pins/torn.json", b"{")
    before = paths(local.store)
    with pytest.raises(StoreFormatError, match="the pin 'torn' is damaged"):
        collect(local, LAST_ONLY)
    assert before <= paths(local.store)


def test_no_file_goes_while_a_version_in_use_cannot_be_read(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    local.push({"k": write("1", a="a")})
    version = local.push({"k": write("2", b="b")}).version_of("k")
    local.store.delete(f"@defs-state/manifests/k/{version}.json")
    found = collect(local, LAST_ONLY)
    assert [str(error.key) for error in found.unclear] == ["k"]
    assert [unit.name for unit in found.removed if unit.is_file] == []
    assert len(found.removed) == 1
    files = {path for path in paths(local.store) if path.startswith("@defs-state/files/")}
    assert len(files) == 2


def test_what_stops_in_the_midst_is_finished_by_the_next(
    local: VersionedStorage, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        local.push({"k": write(str(number), a=str(number))})
    broken = VersionedStorage(local.url)
    deleted: list[str] = []

    def fail_late(path: str) -> None:
        if not path.startswith("@defs-state/probes/"):
            if len(deleted) == 3:
                raise StoreUnavailableError("no answer")
            deleted.append(path)
        local.store.delete(path)

    monkeypatch.setattr(broken.store, "delete", fail_late)
    with pytest.raises(StoreUnavailableError, match="no answer"):
        collect(broken, LAST_ONLY)
    assert local.verify().is_clean
    # Its list stays: whoever comes to need what is on it waits until no request can be under way.
    (condemned,) = (path for path in paths(local.store) if "condemned" in path)
    expires = json.loads(local.store.get(condemned))["expires"]
    assert 400 < expires - time.time() < 500
    assert len(collect(local, LAST_ONLY).removed) > 0
    assert local.verify().unreferenced == ()


def test_what_takes_too_long_is_condemned_again(
    local: VersionedStorage, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        local.push({"k": write(str(number), a=str(number))})
    slow = VersionedStorage(local.url)
    lists: list[str] = []
    whole: list[bool] = []

    def create(path: str, data: bytes) -> None:
        lists.append(path)
        # Of a version that waits for the next list nothing is gone.
        there = paths(local.store)
        manifests = (path for path in there if path.startswith("@defs-state/manifests/"))
        states = {path[len("@defs-state/manifests/") : -len(".json")] for path in manifests}
        whole.append(states <= there)
        local.store.create(path, data)

    def delete(path: str) -> None:
        time.sleep(0.06)
        local.store.delete(path)

    monkeypatch.setattr(sweep, "_ROUND", 0.0001)
    monkeypatch.setattr(slow.store, "create", create)
    monkeypatch.setattr(slow.store, "delete", delete)
    monkeypatch.setattr(sweep, "run_all", lambda function, items: [function(i) for i in items])
    removed = collect(slow, LAST_ONLY).removed
    assert len(lists) == len(set(lists)) >= 3
    assert all(whole)
    assert len({unit.name for unit in removed}) == len(removed) == 6
    assert local.verify().unreferenced == ()


class Interrupted:
    """A store that does something of its own just before, or after, objects are condemned."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        before: Callable[[], Any] = lambda: None,
        after: Callable[[], Any] = lambda: None,
    ) -> None:
        self._store = store
        self._before = before
        self._after = after

    def create(self, path: str, data: bytes) -> None:
        condemns = path.startswith("@defs-state/condemned/")
        if condemns:
            self._before()
        self._store.create(path, data)
        if condemns:
            self._after()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_rollback_just_before_is_seen(
    local: VersionedStorage, write: Callable[..., Path], tmp_path: Path
) -> None:
    version = str(local.push({"k": write("1", a="a")}).version_of("k"))
    local.push({"k": write("2")})
    other = VersionedStorage("", store=open_store(local.url))

    def bring_back() -> None:
        other.set_version("k", version)

    interrupted: Any = Interrupted(local.store, before=bring_back)
    found = collect(VersionedStorage("", store=interrupted), LAST_ONLY)
    assert found.removed == ()
    local.fetch("k", version, tmp_path / "out")
    assert local.verify().is_clean


@pytest.mark.parametrize("what", ["push", "set", "upload"])
def test_a_writer_that_comes_too_late_waits_and_is_spared(
    local: VersionedStorage, write: Callable[..., Path], tmp_path: Path, what: str
) -> None:
    old = write("1", a="a")
    version = str(local.push({"k": old}).version_of("k"))
    local.push({"k": write("2")})
    other = VersionedStorage("", store=open_store(local.url))
    writers = {
        "push": lambda: other.push({"k": old}),
        "set": lambda: other.set_version("k", version),
        "upload": lambda: other.upload("k", old),
    }
    writer = threading.Thread(target=writers[what])

    def come_too_late() -> None:
        writer.start()
        deadline = time.monotonic() + 20
        while not list(read_pins(local.store)) and time.monotonic() < deadline:
            time.sleep(0.01)

    interrupted: Any = Interrupted(local.store, after=come_too_late)
    found = collect(VersionedStorage("", store=interrupted), LAST_ONLY)
    assert found.removed == ()
    writer.join(20)
    local.fetch("k", version, tmp_path / "out")
    assert list(read_pins(local.store)) == []
    assert local.verify().is_clean


def test_a_version_that_is_uploaded_meanwhile_keeps_its_files(
    local: VersionedStorage, write: Callable[..., Path], tmp_path: Path
) -> None:
    local.push({"k": write("1", a="shared")})
    local.push({"k": write("2")})
    other = VersionedStorage("", store=open_store(local.url))
    uploaded: list[str] = []

    def upload() -> None:
        uploaded.append(other.upload("j", write("j", a="shared")))

    interrupted: Any = Interrupted(local.store, before=upload)
    found = collect(VersionedStorage("", store=interrupted), LAST_ONLY)
    assert [unit.name for unit in found.removed if unit.is_file] == []
    assert len(found.removed) == 1
    local.set_version("j", uploaded[0])
    local.fetch("j", uploaded[0], tmp_path / "out")


def test_a_reader_of_the_newest_commit_gets_one_that_is_there(
    local: VersionedStorage, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    local.push({"k": write("1")})
    head = local.log_store.head
    late: list[int] = []

    def read_late() -> Any:
        commit = head()
        if not late:
            late.append(commit.serial)
            local.push({"k": write("2")})
            collect(local, LAST_ONLY)
        return commit

    reader = VersionedStorage(local.url)
    monkeypatch.setattr(reader.log_store, "head", read_late)
    commit, lease = reader.pin()
    assert (late, commit.serial) == ([1], 2)
    assert [pin.versions for pin in read_pins(local.store)] == [lease.pin.versions]


def test_the_newest_commit_is_found_while_older_ones_go(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    local.push({"k": write("1")})
    # By another writer, which leaves a hint of its own: nobody here reads the first commit.
    VersionedStorage(local.url).push({"k": write("2")})
    slow, walking = VersionedStorage(local.url), VersionedStorage(local.url)
    assert slow.head().serial == 2
    walk = walking.log()
    assert next(walk).serial == 2
    for number in range(80):
        local.push({f"k{number}": write("x")})
    collect(local, LAST_ONLY)
    assert [entry.serial for entry in walk] == []
    assert slow.head().serial == 82
    assert slow.push({"k": write("3")}).serial == 83


def test_a_check_takes_no_cleanup_for_damage(
    local: VersionedStorage, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        local.push({"k": write(str(number), a=str(number))})
    checked = VersionedStorage(local.url)
    listed = checked.store.list
    cleanups: list[Collection] = []

    def list_late(prefix: str) -> Any:
        if not cleanups:
            cleanups.append(collect(local, LAST_ONLY))
        return listed(prefix)

    monkeypatch.setattr(checked.store, "list", list_late)
    report = checked.verify()
    assert len(cleanups[0].removed) == 4
    assert (report.commits, report.problems) == (1, ())


def test_of_two_cleanups_the_one_that_keeps_less_wins(
    local: VersionedStorage, write: Callable[..., Path]
) -> None:
    for number in range(6):
        local.push({"k": write(str(number))})
    collect(local, Retention(keep_commits=2, keep_age=0, grace=0))
    # The other one had read the floor before, and writes its own only now.
    local.store.replace("@defs-state/floor.json", b'{"serial": 3}')
    assert [entry.serial for entry in local.log()] == [6, 5]
    with pytest.raises(CommitNotFoundError):
        local.commit(3)
    assert local.verify().is_clean
    found = collect(local, Retention(keep_commits=4, keep_age=0, grace=0))
    assert (found.oldest, found.kept, found.removed) == (5, 2, ())
