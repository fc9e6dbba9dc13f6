"""No commit is lost, however many write at the same time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.errors import CommitContentionError
from hatch_defs_state.storage.versioned import VersionedStorage
from hatch_defs_state.storage.versioned.memory import MemoryStore
from hatch_defs_state.storage.versioned.objects import win
from tests.support.committers import commit_concurrently, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Commit

PROCESSES, COMMITS = 8, 50


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "s3", "azure", "gcs"])
def test_disjoint_commits_all_take_effect(
    new_store: Callable[[str], tuple[str, Mapping[str, Any]]],
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    url, options = new_store(kind)
    started = time.monotonic()
    failed = commit_concurrently(url, options, processes=PROCESSES, commits=COMMITS)
    record_property("seconds", round(time.monotonic() - started, 1))
    assert failed == []
    storage = VersionedStorage(url, options=options)
    keys = {key_of(process, commit) for process in range(PROCESSES) for commit in range(COMMITS)}
    assert storage.head().versions.keys() == keys
    assert storage.head().serial == len(keys)
    messages = [entry.message for entry in storage.log()]
    assert len(messages) == len(set(messages)) == len(keys)
    for process in range(PROCESSES):
        own = [message for message in messages if message.startswith(f"{process} ")]
        assert own == [f"{process} {commit}" for commit in reversed(range(COMMITS))]
    report = storage.verify(deep=False)
    assert report.problems == ()
    assert report.unreferenced == ()


def test_the_last_writer_of_a_key_wins_and_all_are_history(
    storage: VersionedStorage, tmp_path: Path
) -> None:
    def push(number: int) -> None:
        state = tmp_path / str(number)
        state.write_bytes(b"%d" % number)
        VersionedStorage(storage.url, store=storage.store).push({"k": state}, str(number))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = list(storage.log())
    assert sorted(entry.message for entry in entries) == [str(number) for number in range(8)]
    assert storage.head().version_of("k") == entries[0].changes["k"]
    assert len({entry.changes["k"] for entry in entries}) == 8


class TwoSteps(MemoryStore):
    """Looks whether an object exists and stores it in two steps, like some servers.

    Somebody else's create of the same name comes in between.
    """

    creates_in_one_step = False

    def __init__(self) -> None:
        super().__init__()
        self.others: dict[str, bytes] = {}

    def create(self, path: str, data: bytes) -> None:
        super().create(path, data)
        if path in self.others:
            self.replace(path, self.others.pop(path))


def test_of_two_creates_that_succeed_the_one_that_stays_has_won(tmp_path: Path) -> None:
    store = TwoSteps()
    store.others["object"] = b"theirs"
    assert not win(store, "object", b"mine")
    assert store.get("object") == b"theirs"
    assert win(store, "other", b"mine")
    (tmp_path / "state").write_bytes(b"1")
    other = VersionedStorage("memory://", store=MemoryStore())
    other.push({"theirs": tmp_path / "state"})
    lineage = other.store.get("@defs-state/format.json")
    store.replace("@defs-state/format.json", lineage)
    first = "@defs-state/log/000000000001.json"
    store.others[first] = other.store.get(first)
    commit = VersionedStorage("memory://", store=store).push({"mine": tmp_path / "state"})
    assert commit.serial == 2
    assert commit.versions.keys() == {"mine", "theirs"}


def test_contention_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = VersionedStorage(tmp_path / "store", timeout=0.2)
    monkeypatch.setattr(
        "hatch_defs_state.storage.versioned.log.win",
        lambda *_: False,
    )
    (tmp_path / "state").write_bytes(b"1")
    with pytest.raises(CommitContentionError, match="nothing was changed"):
        storage.push({"k": tmp_path / "state"})
    assert storage.head().serial == 0


def test_a_key_that_changes_meanwhile_is_pushed_again(
    storage: VersionedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged key of a push is part of what its commit says, also when others are faster."""
    mine, theirs, new = (tmp_path / name for name in ("mine", "theirs", "new"))
    for file in (mine, theirs, new):
        file.write_text(file.name)
    first = storage.push({"k": mine})
    append = storage.log_store.append
    moved: list[Commit] = []

    def append_late(*arguments: Any, **options: Any) -> Any:
        if not moved:
            moved.append(VersionedStorage(storage.url, store=storage.store).push({"k": theirs}))
        return append(*arguments, **options)

    monkeypatch.setattr(storage.log_store, "append", append_late)
    commit = storage.push({"k": mine, "j": new})
    assert commit.serial == 3
    assert commit.version_of("k") == first.version_of("k")
    assert moved[0].version_of("k") != first.version_of("k")
