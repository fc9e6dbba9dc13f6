"""A clean-up that is killed leaves the store whole, and the next one finishes its work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.commands import run

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked and killed")
def test_a_cleanup_is_killed_at_every_file_operation(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.killed_cleanups", str(tmp_path)]
    rounds = [json.loads(line) for line in run(command, cwd=ROOT).stdout.splitlines()]
    assert len(rounds) > 60
    assert [found["killed"] for found in rounds] == [True] * (len(rounds) - 1) + [False]
    for found in rounds:
        assert (found["problems"], found["lost"], found["unneeded"]) == ([], [], [])
        assert found["serials"] == [6]
    left = [found["left_for_the_next"] for found in rounds]
    assert left[0] == max(left)
    assert left[-1] == 0
    assert len(set(left)) > 5
