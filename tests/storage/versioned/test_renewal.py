"""What is done again and again in the background, such as the renewal of leases."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage.versioned import Retention, VersionedStorage, collect, read_pins
from hatch_defs_state.storage.versioned.renewal import repeating

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_work_is_repeated_until_the_end_and_never_after() -> None:
    done: list[float] = []
    with repeating(lambda: done.append(time.monotonic()), 0.02):
        assert eventually(lambda: len(done) >= 3)
    count = len(done)
    time.sleep(0.1)
    assert len(done) == count


def test_the_end_waits_for_work_that_is_under_way() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.1)
        ended.set()

    with repeating(work, 0.01):
        assert begun.wait(10)
    assert ended.is_set()


def test_work_that_hangs_keeps_no_other_waiting() -> None:
    go_on = threading.Event()
    done: list[int] = []

    def hang() -> None:
        go_on.wait()

    with repeating(hang, 0.01), repeating(lambda: done.append(1), 0.01):
        assert eventually(lambda: len(done) >= 3)
        go_on.set()


def test_sooner_work_is_not_kept_waiting_by_later_work() -> None:
    done: list[int] = []
    with repeating(lambda: None, 3600), repeating(lambda: done.append(1), 0.01):
        assert eventually(lambda: bool(done))


def test_many_use_one_thread() -> None:
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(repeating(lambda: None, 3600))
        assert threading.active_count() <= before + 1


def _in_a_fork(done: object) -> None:
    with repeating(done.set, 0.01):  # type: ignore[attr-defined]
        done.wait(10)  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="it is forked")
def test_a_fork_repeats_its_own_work_and_not_that_of_its_parent() -> None:
    context = multiprocessing.get_context("fork")
    done = context.Event()
    pids = context.SimpleQueue()
    with repeating(lambda: pids.put(os.getpid()), 0.05):
        process = context.Process(target=_in_a_fork, args=(done,))
        process.start()
        process.join(20)
        time.sleep(0.2)
    assert process.exitcode == 0
    assert done.is_set()
    found = set()
    while not pids.empty():
        found.add(pids.get())
    assert found == {os.getpid()}


def test_a_lease_that_a_power_failure_has_emptied_has_ended(tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    (tmp_path / "state").write_text("1")
    storage.push({"k": tmp_path / "state"})
    lease = storage.hold({"k": "v"})
    file = tmp_path / "store" / lease.pin.path
    file.write_bytes(b"")
    (pin,) = read_pins(storage.store)
    assert not pin.is_live(time.time())
    yesterday = time.time() - 2 * 86400
    os.utime(file, (yesterday, yesterday))
    collect(storage, Retention(keep_commits=1, keep_age=0, grace=0))
    assert not file.exists()
