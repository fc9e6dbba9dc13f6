"""A reader never sees half of a swap."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import ManifestError, StateError
from hatch_defs_state.storage import generation, publish
from tests.crash import generations
from tests.crash.campaign import WAYS, swapping
from tests.crash.swapper import swapping_process

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.manifest import Manifest

SWAPS = 200
PAUSE = 0.008
"""Longest pause between two swaps, in seconds: a reader meets swaps as well as what is between."""


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_sees_one_whole_generation_at_any_time(way: str, place: Path) -> None:
    made = {name: generations.make(name, place) for name in ("old", "new")}
    target = place / "defs" / generation.FOLDER_NAME
    publish.publish(made["old"], target)
    seen: list[Manifest] = []
    with swapping_process(way, target, SWAPS, PAUSE) as swapper:
        while swapper.poll() is None:
            seen.append(generation.read(target).manifest)
    assert swapper.returncode == 0
    assert [manifest for manifest in seen if manifest not in _manifests(made)] == []
    assert len(seen) >= SWAPS / 4
    assert all(manifest in seen for manifest in _manifests(made))
    assert generations.litter(target) == []


def _manifests(made: dict[str, generation.Generation]) -> list[Manifest]:
    return [each.manifest for each in made.values()]


def test_a_generation_that_is_replaced_while_it_is_read_is_not_mixed_with_its_successor(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {name: generations.make(name, place) for name in ("old", "new", "next")}
    target = place / "defs" / generation.FOLDER_NAME
    publish.publish(made["old"], target)
    coming = ["new", "old", "next"]
    measure = generation.measure

    def measure_and_swap(path: Path) -> object:
        entry = measure(path)
        if coming and path.is_relative_to(target):
            name = coming.pop(0)
            with monkeypatch.context() as undisturbed:
                undisturbed.setattr(generation, "measure", measure)
                publish.publish(made[name], target)
        return entry

    monkeypatch.setattr(generation, "measure", measure_and_swap)
    assert generation.read(target).manifest == made["next"].manifest
    assert coming == []


def test_a_swap_that_was_cut_short_is_an_error_to_a_reader_after_a_while(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = place / "defs" / generation.FOLDER_NAME
    generation.write(generations.make("old", place), generation.beside(target, "old"))
    monkeypatch.setattr(generation, "_PAUSES", (0.0, 0.0))
    with pytest.raises(ManifestError) as caught:
        generation.read(target)
    assert str(caught.value) == (
        f"{target} was being replaced whenever it was read\n"
        "  hint: wait for the refresh to end; if it was killed, run `defs-state refresh`"
    )


def test_where_no_swap_is_under_way_a_reader_does_not_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("it waits"))
    with pytest.raises(ManifestError, match="no complete generation is there"):
        generation.read(place / generation.FOLDER_NAME)
    with swapping("exchange", place):
        publish.publish(generations.make("old", place), place / generation.FOLDER_NAME)
    (place / generation.FOLDER_NAME / "orders" / "state").unlink()
    with pytest.raises(StateError, match="is in the manifest and missing"):
        generation.read(place / generation.FOLDER_NAME)
