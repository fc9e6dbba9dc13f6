"""Pushing, reading, history and damage, on every kind of store."""

from __future__ import annotations

import json
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import (
    CommitNotFoundError,
    DamagedObjectError,
    DefsStateError,
    KeyConflictError,
    StateError,
    StorageError,
    VersionConflictError,
    VersionNotFoundError,
)
from hatch_defs_state.storage.versioned import Change, VersionedStorage, is_marker, read_pins
from hatch_defs_state.storage.versioned.versions import derive, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HANDED_IN = "11111111-2222-4333-8444-555555555555"


def folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def content(path: Path) -> dict[str, bytes]:
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def test_a_store_without_commits(storage: VersionedStorage) -> None:
    assert storage.head().serial == 0
    assert storage.head().versions == {}
    assert storage.lineage() is None
    assert list(storage.log()) == []
    assert storage.verify().is_clean
    assert list(storage.store.list("")) == []


def test_state_and_siblings_come_back(storage: VersionedStorage, tmp_path: Path) -> None:
    dbt = {"state": b"", "project/dbt_project.yml": b"name: x", "project/target/m.json": b"{}" * 99}
    plain = {"state": b"fivetran"}
    nested = {"state/a.json": b"1", "state/deep/b.json": b"2"}
    states = {"dbt[x]": dbt, "five/tran": plain, "nested": nested}
    commit = storage.push(
        {key: folder(tmp_path / f"in{n}", states[key]) for n, key in enumerate(states)}, "first"
    )
    assert (commit.serial, commit.message) == (1, "first")
    versions = {key: value.version for key, value in commit.versions.items()}
    fetched = storage.fetch_all(versions, tmp_path)
    for key, name in {"dbt[x]": "dbt__x__", "five/tran": "five__tran", "nested": "nested"}.items():
        assert content(tmp_path / name) == states[key]
        assert set(fetched[key].files) == set(states[key])
    # What Dagster's class reads is the state file itself.
    assert storage.store.get(f"five__tran/{versions['five/tran']}") == b"fivetran"
    assert storage.store.get(f"dbt__x__/{versions['dbt[x]']}") == b""
    report = storage.verify()
    assert (report.commits, report.versions, report.problems) == (1, 3, ())
    assert report.unreferenced == ()
    assert storage.verify(deep=False) == report


def test_a_push_without_change_is_no_commit(storage: VersionedStorage, tmp_path: Path) -> None:
    states = {"a": folder(tmp_path / "a", {"state": b"1", "x": b"2"})}
    first = storage.push(states)
    before = {info.path for info in storage.store.list("")}
    assert storage.push(states, "again") == first
    assert {info.path for info in storage.store.list("")} == before
    assert VersionedStorage(storage.url, store=storage.store).push(states) == first


def test_versions_follow_from_key_and_content(storage: VersionedStorage, tmp_path: Path) -> None:
    one, two = (folder(tmp_path / n, {"state": n.encode()}) for n in ("one", "two"))
    keys = ("a/b", "a:b", "a__b")
    first = storage.push(dict.fromkeys(keys, one))
    versions = {first.version_of(key) for key in keys}
    assert len(versions) == 3
    assert all(version and is_plain(version) for version in versions)
    storage.push({"a/b": two})
    assert storage.push({"a/b": one}).version_of("a/b") == first.version_of("a/b")
    with pytest.raises(DamagedObjectError, match="is not its content") as caught:
        storage.fetch("a:b", str(first.version_of("a/b")), tmp_path / "mixed")
    assert caught.value.key == "a:b"
    assert not (tmp_path / "mixed").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_version_that_is_handed_in_is_kept(storage: VersionedStorage, tmp_path: Path) -> None:
    state = folder(tmp_path / "in", {"state": b"dagster"})
    commit = storage.push({"k": state / "state"}, versions={"k": HANDED_IN})
    assert commit.version_of("k") == HANDED_IN
    assert storage.store.get(f"k/{HANDED_IN}") == b"dagster"
    assert storage.push({"k": state}, versions={"k": HANDED_IN}).serial == 1
    storage.fetch("k", HANDED_IN, tmp_path / "out")
    assert content(tmp_path / "out") == {"state": b"dagster"}


def test_a_version_never_gets_other_content(storage: VersionedStorage, tmp_path: Path) -> None:
    one, two = (folder(tmp_path / n, {"state": n.encode()}) for n in ("one", "two"))
    storage.push({"a/b": one}, versions={"a/b": HANDED_IN})
    for states in ({"a/b": two}, {"a:b": two}, {"a:b": one}):
        with pytest.raises(VersionConflictError, match=HANDED_IN):
            storage.push(states, versions=dict.fromkeys(states, HANDED_IN))
    storage.set_version("a/b", None)
    with pytest.raises(VersionConflictError, match=HANDED_IN):
        storage.push({"a/b": two}, versions={"a/b": HANDED_IN})
    assert storage.store.get(f"a__b/{HANDED_IN}") == b"one"
    assert storage.verify().is_clean


def test_unacceptable_versions(storage: VersionedStorage, tmp_path: Path) -> None:
    state = folder(tmp_path / "one", {"state": b"1"})
    for version in ("../x", "", ".hidden", "a/b", "x" * 129, "__local__"):
        with pytest.raises(StorageError, match="version"):
            storage.upload("k", state, version)
    derived = derive("other", {})
    with pytest.raises(VersionConflictError, match="follow from the content"):
        storage.upload("k", state, derived)
    assert list(storage.store.list("k")) == []


def test_versions_of_dagsters_own_class_are_taken_over(
    storage: VersionedStorage, tmp_path: Path
) -> None:
    storage.store.create(f"five__tran/{HANDED_IN}", b"written by dagster")
    with pytest.raises(VersionNotFoundError, match=HANDED_IN):
        storage.fetch("five/tran", HANDED_IN, tmp_path / "x")
    assert storage.set_version("five/tran", HANDED_IN).version_of("five/tran") == HANDED_IN
    storage.fetch("five/tran", HANDED_IN, tmp_path / "out")
    assert content(tmp_path / "out") == {"state": b"written by dagster"}
    assert storage.verify().unreferenced == ()


def test_set_version(storage: VersionedStorage, tmp_path: Path) -> None:
    version = storage.upload("k", folder(tmp_path / "one", {"state": b"1", "x/y": b"2"}))
    assert storage.head().serial == 0
    assert storage.set_version("k", version).version_of("k") == version
    assert storage.set_version("k", version).serial == 1
    assert storage.set_version("m", "__local__").version_of("m") == "__local__"
    assert is_marker("__local__")
    assert storage.set_version("k", None).version_of("k") is None
    assert storage.set_version("k", None).serial == 3
    with pytest.raises(VersionNotFoundError, match=HANDED_IN):
        storage.set_version("k", HANDED_IN)
    assert storage.head().serial == 3
    assert storage.verify().is_clean
    assert list(read_pins(storage.store)) == []


def test_history(storage: VersionedStorage, tmp_path: Path) -> None:
    one, two = (folder(tmp_path / n, {"state": n.encode()}) for n in ("one", "two"))
    a1 = storage.push({"a": one, "b": one}, "first").version_of("a")
    a2 = storage.push({"a": two, "c": two}, "second").version_of("a")
    back = storage.rollback(1)
    assert (back.serial, back.entry.rollback_of, back.message) == (3, 1, "roll back to 1")
    assert {key: value.version for key, value in back.versions.items()} == {
        key: value.version for key, value in storage.commit(1).versions.items()
    }
    c = storage.commit(2).version_of("c")
    assert storage.diff(1, 2) == (Change("a", a1, a2), Change("c", None, c))
    assert storage.diff(1, 3) == ()
    assert [entry.serial for entry in storage.log()] == [3, 2, 1]
    assert [entry.message for entry in storage.log()][1:] == ["second", "first"]
    assert storage.rollback(0).versions == {}
    assert storage.rollback(3).versions.keys() == {"a", "b"}
    for serial in (9, -1):
        with pytest.raises(CommitNotFoundError):
            storage.commit(serial)
    assert storage.commit(1).versions["a"].since == storage.commit(1).at


def test_files_are_stored_once(storage: VersionedStorage, tmp_path: Path) -> None:
    shared = {"project/macros.sql": b"select 1", "project/copy.sql": b"select 1"}
    for key, state in (("a", b"1"), ("b", b"2")):
        storage.push({key: folder(tmp_path / key, {"state": state, **shared})})
    storage.push({"a": folder(tmp_path / "a", {"state": b"3", **shared})})
    assert len(list(storage.store.list("@defs-state/files"))) == 1
    assert len(list(storage.log())) == 3
    assert storage.verify().is_clean
    assert list(read_pins(storage.store)) == []


def test_every_kind_of_damage_is_named(storage: VersionedStorage, tmp_path: Path) -> None:
    states = {
        "plain": folder(tmp_path / "p", {"state": b"plain state"}),
        "listed": folder(tmp_path / "l", {"state": b"listed", "project/x": b"a sibling"}),
    }
    commit = storage.push(states)
    versions = {key: value.version for key, value in commit.versions.items()}
    objects = {
        path: key for key, version in versions.items() for path in storage.objects_of(key, version)
    }
    assert len(objects) == 4
    for number, (path, key) in enumerate(objects.items()):
        good = storage.store.get(path)
        swapped = bytes(reversed(good))
        for kind, bad in (("truncated", good[:-1]), ("swapped", swapped), ("missing", None)):
            if bad is None:
                storage.store.delete(path)
            else:
                storage.store.replace(path, bad)
            target = tmp_path / f"out{number}{kind}"
            with pytest.raises((DamagedObjectError, VersionNotFoundError)) as caught:
                storage.fetch(key, versions[key], target)
            assert caught.value.key == key
            assert versions[key] in str(caught.value)
            assert path in str(caught.value)
            assert not target.exists()
            problems = storage.verify().problems
            assert [problem.key for problem in problems] == [key], (path, kind)
            assert path in str(problems[0])
            storage.store.replace(path, good)
    assert storage.verify().is_clean


def test_damaged_commits_are_found(storage: VersionedStorage, tmp_path: Path) -> None:
    for number in range(3):
        storage.push({"k": folder(tmp_path / "k", {"state": b"%d" % number})})
    second = storage.store.get("@defs-state/log/000000000002.json")
    first = storage.store.get("@defs-state/log/000000000001.json")
    for bad in (second[:-9], b"", first, second.replace(b'"k"', b'"j"')):
        storage.store.replace("@defs-state/log/000000000002.json", bad)
        fresh = VersionedStorage(storage.url, store=storage.store)
        with pytest.raises(DamagedObjectError, match="000000000002"):
            list(fresh.log())
        assert not VersionedStorage(storage.url, store=storage.store).verify().is_clean


def test_the_head_is_found_without_a_true_hint(storage: VersionedStorage, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for number in range(21):
        state.write_bytes(b"%d" % number)
        storage.push({f"key{number % 3}": state})
    for hint in (b'{"serial": 1}', b'{"serial": 9999}', b"torn", b'{"serial": "x"}', None):
        if hint is None:
            storage.store.delete("@defs-state/head.json")
        else:
            storage.store.replace("@defs-state/head.json", hint)
        fresh = VersionedStorage(storage.url, store=storage.store)
        assert fresh.head() == storage.head()
        assert fresh.head().serial == 21


def test_commits_in_a_row_leave_few_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("hatch_defs_state.storage.versioned.chain.time", clock)
    storage = VersionedStorage(tmp_path / "store")
    hints = []
    for number in range(12):
        (tmp_path / "state").write_bytes(b"%d" % number)
        storage.push({"k": tmp_path / "state"})
        hints.append(json.loads(storage.store.get("@defs-state/head.json"))["serial"])
        now[0] += 0.0625
    assert hints == [1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9]
    assert VersionedStorage(tmp_path / "store").head().serial == 12


def test_pruned_commits_leave_no_hole(storage: VersionedStorage, tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = VersionedStorage(storage.url, store=storage.store)
    for number in range(70):
        state.write_bytes(b"%d" % number)
        storage.push({"k": state})
        if number == 4:
            assert old.head().serial == 5
    storage.log_store.prune(60)
    assert [entry.serial for entry in storage.log()] == list(range(70, 59, -1))
    with pytest.raises(CommitNotFoundError):
        storage.commit(59)
    # Whoever has slept since then must not take a number that was given before.
    state.write_bytes(b"late")
    assert old.push({"j": state}).serial == 71
    assert old.head().versions.keys() == {"k", "j"}
    storage.store.replace("@defs-state/head.json", b'{"serial": 3}')
    assert VersionedStorage(storage.url, store=storage.store).head().serial == 71
    assert storage.verify().is_clean


def test_two_histories_are_not_mixed(storage: VersionedStorage, tmp_path: Path) -> None:
    storage.push({"k": folder(tmp_path / "k", {"state": b"1"})})
    other = storage.store.get("@defs-state/format.json").replace(
        str(storage.lineage()).encode(), HANDED_IN.encode()
    )
    storage.store.replace("@defs-state/format.json", other)
    fresh = VersionedStorage(storage.url, store=storage.store)
    with pytest.raises(DefsStateError, match="another store's history"):
        fresh.push({"j": folder(tmp_path / "j", {"state": b"1"})})
    assert not fresh.verify().is_clean


def test_a_newer_format_is_refused(storage: VersionedStorage, tmp_path: Path) -> None:
    storage.store.create(
        "@defs-state/format.json", b'{"schema": 2, "lineage": "%s"}' % HANDED_IN.encode()
    )
    with pytest.raises(DefsStateError, match="schema 2"):
        storage.push({"j": folder(tmp_path / "j", {"state": b"1"})})
    storage.store.replace("@defs-state/format.json", b"[]")
    with pytest.raises(DefsStateError, match="damaged"):
        storage.lineage()


@pytest.mark.parametrize("key", ["", ".", "..", "x" * 300])
def test_keys_that_cannot_be_folders(storage: VersionedStorage, tmp_path: Path, key: str) -> None:
    with pytest.raises(KeyConflictError):
        storage.push({key: folder(tmp_path / "j", {"state": b"1"})})
    with pytest.raises(KeyConflictError):
        storage.set_version(key, None)


def test_no_key_can_claim_our_own_folder(storage: VersionedStorage, tmp_path: Path) -> None:
    state = folder(tmp_path / "j", {"state": b"1"})
    commit = storage.push(dict.fromkeys(("@defs-state", "@defs-state/log", ".defs-state"), state))
    assert {info.path.split("/")[0] for info in storage.store.list("")} == {
        "@defs-state",
        "__defs-state",
        "__defs-state__log",
        ".defs-state",
    }
    assert commit.serial == 1
    assert storage.verify().is_clean


def test_states_that_cannot_be_stored(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    outside = folder(tmp_path / "secret", {"x": b"1"})
    leaving = folder(tmp_path / "leaving", {"state": b"1"})
    (leaving / "link").symlink_to(outside)
    circle = folder(tmp_path / "circle", {"state": b"1"})
    (circle / "again").symlink_to(circle)
    pipe = folder(tmp_path / "pipe", {"state": b"1"})
    os.mkfifo(pipe / "fifo")
    (tmp_path / "empty" / "state").mkdir(parents=True)
    for name, message in {
        "absent": "no state at",
        "empty": "holds no `state`",
        "leaving": "leaves the state folder",
        "circle": "leads back",
        "pipe": "neither a file nor a folder",
    }.items():
        with pytest.raises(StateError, match=message) as caught:
            storage.push({"k": tmp_path / name})
        assert caught.value.key == "k"
    assert not (tmp_path / "store").exists()


def test_links_inside_are_followed(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    state = folder(tmp_path / "in", {"state": b"1", "project/real": b"2"})
    (state / "project" / "link").symlink_to("real")
    version = storage.push({"k": state}).version_of("k")
    storage.fetch("k", str(version), tmp_path / "out")
    assert content(tmp_path / "out") == {"state": b"1", "project/real": b"2", "project/link": b"2"}


def test_nothing_is_fetched_over_something(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    version = str(storage.push({"k": folder(tmp_path / "in", {"state": b"1"})}).version_of("k"))
    with pytest.raises(StateError, match="exists already"):
        storage.fetch("k", version, tmp_path / "in")
    with pytest.raises(StateError, match="cannot be written"):
        storage.fetch("k", version, tmp_path / "no" / "such" / "folder")


def test_a_writer_waits_for_a_cleanup_of_what_it_reuses(
    storage: VersionedStorage, tmp_path: Path
) -> None:
    one, two = (folder(tmp_path / n, {"state": n.encode()}) for n in ("one", "two"))
    version = storage.push({"k": one}).version_of("k")
    storage.push({"k": two})
    path = f"k/{version}"
    condemned = b'{"schema": 1, "objects": ["%s"], "expires": 9e9}' % path.encode()
    storage.store.create("@defs-state/condemned/run.json", condemned)
    done = threading.Event()

    def push() -> None:
        storage.push({"k": one})
        done.set()

    pushing = threading.Thread(target=push)
    pushing.start()
    assert not done.wait(0.3)
    assert [pin.versions for pin in read_pins(storage.store)] == [{"k": (version,)}]
    storage.store.delete(path)
    storage.store.delete("@defs-state/condemned/run.json")
    pushing.join(20)
    assert storage.head().version_of("k") == version
    assert storage.store.get(path) == b"one"
    assert list(read_pins(storage.store)) == []


def test_a_dead_cleanup_stops_nobody(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    one, two = (folder(tmp_path / n, {"state": n.encode()}) for n in ("one", "two"))
    version = storage.push({"k": one}).version_of("k")
    storage.push({"k": two})
    storage.store.create(
        "@defs-state/condemned/run.json",
        b'{"schema": 1, "objects": ["k/%s"], "expires": 1}' % str(version).encode(),
    )
    assert storage.push({"k": one}).version_of("k") == version


def test_a_lease_is_a_pin_that_ends(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    with storage.hold({"k": HANDED_IN}, name="location-1", ttl=60, note="a location") as lease:
        (pin,) = read_pins(storage.store)
        assert (pin.name, pin.versions, pin.note) == (
            "location-1",
            {"k": (HANDED_IN,)},
            "a location",
        )
        lease.renew(3600)
        (renewed,) = read_pins(storage.store)
        assert renewed.expires is not None
        assert pin.expires is not None
        assert renewed.expires > pin.expires + 3000
        assert renewed.is_live(renewed.expires - 1)
        assert not renewed.is_live(renewed.expires)
    assert list(read_pins(storage.store)) == []
