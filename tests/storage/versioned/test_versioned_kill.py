"""A push that is killed leaves the old state or the new one, and never half of a commit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.commands import run

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked and killed")
def test_a_push_is_killed_at_every_file_operation(tmp_path: Path) -> None:
    store, states = tmp_path / "store", tmp_path / "states"
    command = [sys.executable, "-m", "tests.support.killed_pushes", str(store), str(states)]
    rounds = [json.loads(line) for line in run(command, cwd=ROOT).stdout.splitlines()]
    assert len(rounds) > 200
    assert [found["killed"] for found in rounds] == [True] * (len(rounds) - 1) + [False]
    assert [found for found in rounds if found["problems"]] == []
    assert {found["new_commits"] for found in rounds} == {0, 1}
    # The commit takes effect with one operation: before it nothing is new, after it everything.
    effects = [found["new_commits"] for found in rounds]
    first = effects.index(1)
    assert first > 180
    storage = VersionedStorage(store)
    assert storage.head().message == f"push {rounds[-1]['point']}"
    storage.fetch("listed", str(storage.head().version_of("listed")), tmp_path / "out")
    assert (tmp_path / "out" / "state").read_text() == str(rounds[-1]["point"])
