"""Publishing a generation can be ended before and after every system call that it makes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.crash.campaign import WAYS, Findings
from tests.support.commands import base_environment, run_checked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="moments are ended in forks")

ROOT = Path(__file__).parents[2]

LEFT_BEHIND = {
    "exchange": {"old", "new"},
    "two renames": {"old", "new", "absent"},
    "copy": {"old", "new", "absent", "unsealed"},
}
"""What a reader may find until the next start; all but `old` and `new` are no generation to it."""

WRITTEN = {"mkdir", "open", "write", "__exit__"}
REPLACED = {
    "exchange": {"syncfs", "fsync", "exchange"},
    "two renames": {"fsync", "rename"},
    "copy": {"syncfs", "fsync", "rename"},
}
REMOVED = {"unlink", "rmdir"}


def campaign(how: str, way: str, place: Path) -> list[Findings]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.crash.campaign",
        how,
        way,
        place / "place",
    ]
    printed = run_checked(command, cwd=ROOT, env=base_environment()).stdout
    return [Findings.from_json(found) for found in json.loads(printed)]


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_generation(way: str, place: Path) -> None:
    published, recovered = campaign("kill-replace", way, place)
    assert published.ended >= (100 if way == "copy" else 300)
    assert published.calls >= WRITTEN | REPLACED[way] | REMOVED
    assert published.seen == LEFT_BEHIND[way]
    # So does one that ends what the next start does about the first.
    assert recovered.ended >= 80
    assert recovered.calls >= REMOVED | ({"rename", "fsync"} if way != "exchange" else set())
    assert recovered.seen <= LEFT_BEHIND[way]
    for found in (published, recovered):
        assert found.settled == {"old", "new"}
        assert found.published == {"next"}
        assert found.litter == set()


def test_a_kill_at_any_moment_of_the_first_publication_leaves_nothing_or_the_new_generation(
    place: Path,
) -> None:
    published, recovered = campaign("kill-first", "exchange", place)
    assert published.ended >= 150
    assert published.calls >= WRITTEN | {"syncfs", "rename", "fsync"}
    for found in (published, recovered):
        assert found.seen <= {"nothing", "new"}
        assert found.settled <= {"nothing", "new"}
        assert found.published == {"next"}
        assert found.litter == set()


@pytest.mark.parametrize("way", WAYS)
def test_any_system_call_may_be_refused_and_an_error_means_that_nothing_was_changed(
    way: str, place: Path
) -> None:
    (found,) = campaign("refuse-replace", way, place)
    assert found.calls >= (WRITTEN | REPLACED[way] | REMOVED) - {"__exit__"}
    assert found.seen == {"published: new", "StateError: old"}
    assert found.litter == set()


def test_any_system_call_of_the_first_publication_may_be_refused(place: Path) -> None:
    (found,) = campaign("refuse-first", "exchange", place)
    assert found.seen == {"published: new", "StateError: nothing"}
    assert found.litter == set()


@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_an_interrupt_at_any_moment_leaves_a_whole_generation_at_once(
    way: str, place: Path
) -> None:
    (found,) = campaign("interrupt-replace", way, place)
    assert found.ended >= 200
    assert {seen.rpartition(" ")[2] for seen in found.seen} == {"old", "new"}
    assert "StateError: new" not in found.seen
    assert found.litter == set()
