"""A refresh can be killed at any time, with its writers or alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation
from tests.crash.generations import authors
from tests.crash.refreshes import KEYS, RefreshedProject, processes, survivors

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes")

KILLS = 30
"""Of each test; a third of them anywhere, the others while it publishes."""


@dataclass
class Timing:
    """How long refreshes of a project take, in seconds: until they publish, and from then on."""

    before: list[float] = field(default_factory=list)
    publishing: list[float] = field(default_factory=list)

    def take(self, project: RefreshedProject, run: str) -> None:
        """Measure a refresh that is not killed."""
        started = time.monotonic()
        process = project.start(run)
        wait_until_it_publishes(process, project)
        published = time.monotonic()
        process.communicate(timeout=60)
        self.before.append(published - started)
        self.publishing.append(time.monotonic() - published)


def wait_until_it_publishes(process: subprocess.Popen[str], project: RefreshedProject) -> None:
    new = generation.beside(project.target, "new")
    while process.poll() is None and not new.exists():
        time.sleep(0.0001)


@pytest.mark.parametrize("with_writers", [False, True], ids=["alone", "with its writers"])
def test_a_refresh_killed_at_any_time_leaves_the_last_or_the_next_generation(
    place: Path, with_writers: bool
) -> None:
    project, timing, chance = RefreshedProject(place), Timing(), random.Random(1)
    for run in ("first", "second"):
        timing.take(project, run)
    killed = littered = 0
    there = "second"
    for number in range(KILLS):
        run = f"killed-{number}"
        process = project.start(run)
        if number % 3 == 0:
            time.sleep(number / KILLS * min(timing.before))
        else:
            wait_until_it_publishes(process, project)
            time.sleep(chance.random() ** 2 * 0.6 * min(timing.publishing))
        process.kill()
        kill(processes(run) if with_writers else [])
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in {-signal.SIGKILL, 0}, stderr
        killed += process.returncode != 0
        assert survivors(run) == []
        there = whole_generation(project, {there, run})
        littered += bool(project.litter())
        if project.litter() and number % 3 == 2:
            there = f"after-{run}"
            project.refresh(there)
            assert project.litter() == []
            assert whole_generation(project, {there})
    project.refresh("last")
    assert whole_generation(project, {"last"})
    assert project.litter() == []
    assert project.scratch() == []
    # The kills did hit what they were meant to.
    assert killed >= KILLS / 2
    assert littered > 0


def whole_generation(project: RefreshedProject, expected: set[str]) -> str:
    """Verify the generation that is there and return the name of its refresh, one of `expected`."""
    assert tuple(generation.read(project.target).manifest.keys) == KEYS
    (run,) = authors(project.target)
    assert run in expected
    return run


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
