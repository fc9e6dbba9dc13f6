"""Refreshes of one project at the same time, some of them killed, end with one whole generation."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation, publish
from tests.crash import generations
from tests.crash.campaign import WAYS
from tests.crash.generations import authors
from tests.crash.refreshes import KEYS, RefreshedProject, survivors
from tests.crash.swapper import swapping_process

if TYPE_CHECKING:
    from pathlib import Path

REFRESHES = 8
KILLED = (1, 4, 6)


@pytest.mark.parametrize("users", ["one user", "many users"])
def test_concurrent_refreshes_of_which_some_are_killed_end_with_one_whole_generation(
    place: Path, users: str
) -> None:
    project = RefreshedProject(place)
    project.refresh("before")
    names = [f"run{number}" for number in range(REFRESHES)]
    runs = {name: project.start(name, name if users == "many users" else "user") for name in names}
    chance = random.Random(1)
    for number in KILLED:
        time.sleep(chance.uniform(0.2, 0.6))
        runs[names[number]].kill()
    for name, process in runs.items():
        _, stderr = process.communicate(timeout=60)
        meant = {0, -signal.SIGKILL} if names.index(name) in KILLED else {0}
        assert process.returncode in meant, stderr
        assert survivors(name) == []
    assert tuple(generation.read(project.target).manifest.keys) == KEYS
    (run,) = authors(project.target)
    assert run in runs
    project.refresh("after")
    assert authors(project.target) == {"after"}
    assert project.litter() == []
    assert project.scratch() == []


@pytest.mark.parametrize("way", WAYS)
def test_processes_that_publish_at_the_same_time_do_not_mix_their_generations(
    way: str, place: Path
) -> None:
    target = place / "defs" / generation.FOLDER_NAME
    publish.publish(generations.make("old", place), target)
    with contextlib.ExitStack() as stack:
        swappers = [stack.enter_context(swapping_process(way, target, 15)) for _ in range(8)]
        for number in KILLED:
            time.sleep(0.15)
            swappers[number].kill()
        while any(swapper.poll() is None for swapper in swappers):
            generation.read(target)
        ends = [swapper.returncode for swapper in swappers]
    assert {end for number, end in enumerate(ends) if number not in KILLED} == {0}
    publish.publish(generations.make("next", place), target)
    assert generations.seen_in(target) == "next"
    assert generations.litter(target) == []
