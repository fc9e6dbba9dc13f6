"""What is published is one generation, whatever fails on the way."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, ManifestError, SourceLocation, StateError
from hatch_defs_state.storage import exchange, generation, publish
from hatch_defs_state.storage.generation import Generation, measure
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, states: dict[str, str]) -> Generation:
    """Write states below `folder` as a writer would, and return their generation."""
    keys, files = {}, {}
    for key, text in states.items():
        file = folder / folder_name(key) / "state"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        keys[key] = KeyEntry(
            component_type="shop.Orders",
            source=SourceLocation("defs.yaml", 1),
            management_type=ManagementType.LOCAL_FILESYSTEM,
            files={"state": measure(file)},
        )
        files[f"{folder_name(key)}/state"] = file
    return Generation(Manifest("shop", keys), files)


@pytest.fixture
def first(tmp_path: Path) -> Generation:
    return make(tmp_path / "first", {"a": "1", "b": "1"})


@pytest.fixture
def second(tmp_path: Path) -> Generation:
    return make(tmp_path / "second", {"b": "2", "c": "2"})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "defs").mkdir()
    return tmp_path / "defs" / ".local_defs_state"


def names(target: Path) -> list[str]:
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*"))


@pytest.fixture(params=["exchange", "two renames"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of putting a folder in the place of another one."""
    if request.param == "two renames":
        monkeypatch.setattr(exchange, "_exchange_call", lambda: None)
    return str(request.param)


@pytest.mark.usefixtures("system")
def test_a_generation_replaces_the_one_before_as_a_whole(
    first: Generation, second: Generation, target: Path
) -> None:
    publish.publish(first, target)
    assert names(target) == [".gitignore", "a", "a/state", "b", "b/state", "manifest.json"]
    publish.publish(second, target)
    assert names(target) == [".gitignore", "b", "b/state", "c", "c/state", "manifest.json"]
    assert generation.read(target).manifest == second.manifest
    assert [path.name for path in target.parent.iterdir()] == [".local_defs_state"]


def test_the_gitignore_is_the_one_that_dagster_writes(first: Generation, target: Path) -> None:
    publish.publish(first, target)
    assert (target / ".gitignore").read_text(encoding="utf-8") == "*\n*/\n.*"


@pytest.mark.usefixtures("system")
def test_a_full_disk_leaves_the_old_generation(
    first: Generation, second: Generation, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.publish(first, target)

    def refuse(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exchange, "sync_tree", refuse)
    with pytest.raises(StateError, match="No space left on device") as caught:
        publish.publish(second, target)
    assert caught.value.hint == "nothing was changed there"
    assert generation.read(target).manifest == first.manifest
    assert [path.name for path in target.parent.iterdir()] == [".local_defs_state"]


def test_a_file_that_changes_after_it_was_judged_is_refused(
    first: Generation, second: Generation, target: Path
) -> None:
    publish.publish(first, target)
    second.files["c/state"].write_text("3", encoding="utf-8")
    with pytest.raises(StateError, match="c/state changed after its writer had ended"):
        publish.publish(second, target)
    assert generation.read(target).manifest == first.manifest


def test_a_swap_that_was_cut_short_is_completed(
    first: Generation, second: Generation, target: Path
) -> None:
    generation.write(first, target.with_name(f"{target.name}.old"))
    generation.write(second, target.with_name(f"{target.name}.new"))
    publish.recover(target)
    assert generation.read(target).manifest == second.manifest
    assert [path.name for path in target.parent.iterdir()] == [".local_defs_state"]


def test_a_swap_whose_new_side_is_torn_is_undone(
    first: Generation, second: Generation, target: Path
) -> None:
    generation.write(first, target.with_name(f"{target.name}.old"))
    torn = target.with_name(f"{target.name}.new")
    generation.write(second, torn)
    (torn / "c" / "state").write_text("", encoding="utf-8")
    publish.recover(target)
    assert generation.read(target).manifest == first.manifest
    assert [path.name for path in target.parent.iterdir()] == [".local_defs_state"]


def test_reading_names_everything_that_is_wrong(first: Generation, target: Path) -> None:
    publish.publish(first, target)
    (target / "a" / "state").unlink()
    (target / "b" / "state").write_text("22", encoding="utf-8")
    (target / "b" / "more").write_text("", encoding="utf-8")
    with pytest.raises(DefsStateError) as caught:
        generation.read(target)
    assert str(caught.value) == (
        "defs.yaml:1: [a] a/state is in the manifest and missing\n"
        "defs.yaml:1: [b] b/more is not in the manifest\n"
        "defs.yaml:1: [b] b/state differs from the manifest: "
        "2 bytes, sha256 785f3ec7eb32… instead of 1 bytes, sha256 6b86b273ff34…"
    )


def test_a_folder_without_manifest_is_no_generation(first: Generation, target: Path) -> None:
    publish.publish(first, target)
    (target / "manifest.json").unlink()
    with pytest.raises(ManifestError, match="no complete generation is there"):
        generation.read(target)
