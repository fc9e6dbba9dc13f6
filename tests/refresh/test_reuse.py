"""With `refresh = "reuse"`, a writer runs when something that its state depends on has changed."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state import project as projects
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Outcome, Planned, Waiting
from hatch_defs_state.refresh.reuse import assess, readable
from hatch_defs_state.refresh.workspace import Workspace
from tests.support.shop import Shop

if TYPE_CHECKING:
    from pathlib import Path

REFRESHED, UNCHANGED, REUSED = Outcome.REFRESHED, Outcome.UNCHANGED, Outcome.REUSED


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Two components that were refreshed once, and are reused from then on."""
    shop = Shop.make(tmp_path, {"a": [1], "b": [2]}, refresh="reuse")
    first = shop.refresh()
    assert first.outcomes == {"a": REFRESHED, "b": REFRESHED}
    return shop


def reasons(shop: Shop, key: str) -> list[str]:
    """Return why the writer of `key` would run."""
    project = projects.locate(projects.read_config(shop.root), shop.settings)
    with Workspace.of(project.config) as workspace:
        return list(assess(project, shop.settings, workspace.record()).keys[key])


def test_nothing_changed_means_that_the_project_is_not_even_imported(shop: Shop) -> None:
    shutil.rmtree(shop.state)
    again = shop.refresh()
    assert again.outcomes == {"a": REUSED, "b": REUSED}
    assert (again.runs, again.loads) == (0, 0)
    assert shop.content() == {"a": [1], "b": [2]}


def test_always_runs_every_writer(shop: Shop) -> None:
    again = shop.refresh(refresh="always")
    assert again.outcomes == {"a": UNCHANGED, "b": UNCHANGED}
    assert (again.runs, again.loads) == (2, 1)


def test_state_with_the_same_bytes_keeps_the_time_when_it_was_first_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shop.refresh().manifest
    assert before is not None
    shop.plan(b=[2, 3])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    again = shop.refresh(refresh="always")
    assert again.outcomes == {"a": UNCHANGED, "b": REFRESHED}
    assert again.manifest is not None
    assert again.manifest.keys["a"].written_at == before.keys["a"].written_at
    assert again.manifest.keys["b"].written_at == "1970-01-01T00:00:00Z"


def test_a_new_component_runs_alone(shop: Shop) -> None:
    shop.plan(c=[3])
    shop.declare("a", "b", "c")
    again = shop.refresh()
    assert again.outcomes == {"a": REUSED, "b": REUSED, "c": REFRESHED}
    assert again.runs == 1
    assert [e.reused for e in again.events if isinstance(e, Planned)] == [("a", "b")]
    assert shop.content() == {"a": [1], "b": [2], "c": [3]}


def test_a_removed_component_leaves_with_its_state(shop: Shop) -> None:
    shop.declare("b")
    assert shop.refresh().outcomes == {"b": REUSED}
    assert shop.content() == {"b": [2]}


def test_a_component_that_moved_is_reused_and_its_new_place_is_recorded(shop: Shop) -> None:
    defs = shop.root / "src/shop/defs"
    (defs / "moved").mkdir()
    (defs / "defs.yaml").rename(defs / "moved" / "defs.yaml")
    again = shop.refresh()
    assert again.outcomes == {"a": REUSED, "b": REUSED}
    assert again.manifest is not None
    assert str(again.manifest.keys["a"].source) == "src/shop/defs/moved/defs.yaml:1"
    once_more = shop.refresh()
    assert (once_more.loads, once_more.manifest) == (0, again.manifest)


def test_a_changed_attribute_runs_the_writer(shop: Shop) -> None:
    shop.declare("a", "b", url="other")
    assert shop.refresh().outcomes == {"a": UNCHANGED, "b": UNCHANGED}


def test_a_changed_module_of_the_class_runs_its_writers_and_is_named(shop: Shop) -> None:
    module = shop.root / "src/shop/components.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert reasons(shop, "a") == ["module src/shop/components.py changed"]
    assert shop.refresh().runs == 2


def test_a_changed_variable_runs_the_writer_and_its_value_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.make(tmp_path, {"a": [1]}, refresh="reuse")
    shop.declare("a", url="{{ env.SHOP_TOKEN }}")
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t-one")
    shop.refresh()
    assert shop.refresh().runs == 0
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t-two")
    assert reasons(shop, "a") == ["variable SHOP_TOKEN changed"]
    assert shop.refresh().runs == 1
    config = projects.read_config(shop.root)
    kept = [path for path in Workspace.of(config).folder.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"s3cr3t" in path.read_bytes() for path in kept)


@pytest.mark.parametrize("glob", ["data/**", "data/**/*", "data/deep/?ne.csv"])
def test_globs_of_inputs_mean_files(glob: str, tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": [1]}, refresh="reuse", components={"a": {"inputs": (glob,)}})
    data = shop.root / "data" / "deep"
    data.mkdir(parents=True)
    shop.refresh()
    (data / "one.csv").write_text("1", encoding="utf-8")
    assert reasons(shop, "a") == ["input data/deep/one.csv is new"]


def test_changed_inputs_run_the_writer_that_reads_them(tmp_path: Path) -> None:
    components = {"a": {"inputs": ("data/**/*.csv",)}}
    shop = Shop.make(tmp_path, {"a": [1], "b": [2]}, refresh="reuse", components=components)
    data = shop.root / "data" / "deep"
    data.mkdir(parents=True)
    (data / "one.csv").write_text("1", encoding="utf-8")
    shop.refresh()
    (data / "ignored.txt").write_text("1", encoding="utf-8")
    assert shop.refresh().runs == 0
    (data / "one.csv").write_text("2", encoding="utf-8")
    (data / "two.csv").write_text("2", encoding="utf-8")
    assert reasons(shop, "a") == [
        "input data/deep/one.csv changed",
        "input data/deep/two.csv is new",
    ]
    assert shop.refresh().outcomes == {"a": UNCHANGED, "b": REUSED}
    (data / "one.csv").unlink()
    assert reasons(shop, "a") == ["input data/deep/one.csv is gone"]


def test_what_lies_behind_links_counts_and_circles_end(shop: Shop) -> None:
    outside = shop.folder / "outside"
    outside.mkdir()
    defs = shop.root / "src/shop/defs"
    (defs / "linked").symlink_to(outside)
    (defs / "again").symlink_to(outside)
    (defs / "circle").symlink_to(defs)
    (outside / "defs.yaml").write_text(
        "type: shop.components.Planned\nattributes: {key: c}\n", encoding="utf-8"
    )
    shop.plan(a=[1], b=[2], c=[3], d=[4])
    assert shop.refresh().outcomes == {"a": REUSED, "b": REUSED, "c": REFRESHED}
    assert shop.refresh().runs == 0
    declaration = outside / "defs.yaml"
    declaration.write_text(declaration.read_text("utf-8").replace("key: c", "key: d"), "utf-8")
    assert shop.refresh().outcomes == {"a": REUSED, "b": REUSED, "d": REFRESHED}


def test_a_changed_distribution_runs_every_writer_and_both_versions_are_named(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "vendor_sdk-1.0.dist-info").mkdir()
    assert reasons(shop, "a") == ["vendor_sdk is new"]
    shop.refresh()
    (tmp_path / "vendor_sdk-1.0.dist-info").rename(tmp_path / "vendor_sdk-1.1.dist-info")
    assert reasons(shop, "b") == ["vendor_sdk 1.0 → 1.1"]


def test_state_that_is_too_old_is_renewed(shop: Shop) -> None:
    assert shop.refresh(max_age=3600.0).runs == 0
    time.sleep(0.02)
    again = shop.refresh(max_age=0.01)
    assert again.outcomes == {"a": UNCHANGED, "b": UNCHANGED}


def test_an_age_is_readable() -> None:
    ages = {0.2: "0 s", 59.6: "1 min", 3661: "1 h 1 min", 90061: "1 d 1 h"}
    assert {seconds: readable(seconds) for seconds in ages} == ages


def test_what_is_kept_about_projects_that_are_gone_is_removed_after_a_day(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"a": [1]}
    # A name that is no text, where the file system takes any bytes.
    odd = tmp_path / os.fsdecode(b"\xff" if sys.platform == "linux" else b"odd")
    shops = {name: Shop.make(odd / name, plan) for name in ("old", "young", "here", "last")}
    place = {}
    for name, shop in shops.items():
        assert shop.refresh().runs == 1
        place[name] = Workspace.of(projects.read_config(shop.root)).folder
    for name in ("old", "here"):
        os.utime(place[name] / "record.json", (0, 0))
    for name in ("old", "young"):
        shutil.rmtree(shops[name].folder)
    shops["last"].refresh(refresh="always")
    assert [name for name, folder in place.items() if not folder.exists()] == ["old"]


def test_damage_in_the_cache_costs_time_only(shop: Shop) -> None:
    folder = Workspace.of(projects.read_config(shop.root)).folder
    (state,) = folder.glob("generations/*/a/state")
    state.write_text("[9]", encoding="utf-8")
    again = shop.refresh()
    assert again.outcomes["b"] is REUSED
    assert again.runs == 1
    assert shop.content() == {"a": [1], "b": [2]}
    (folder / "record.json").write_text("{}", encoding="utf-8")
    assert shop.refresh().runs == 2
    shutil.rmtree(folder)
    assert shop.refresh().runs == 2


def test_frozen_uses_the_state_in_the_tree_and_runs_nothing(shop: Shop) -> None:
    shop.plan(a=["other"])
    again = shop.refresh(refresh="frozen")
    assert (again.outcomes, again.runs, again.loads) == ({"a": REUSED, "b": REUSED}, 0, 0)
    (shop.state / "a" / "state").write_text("[]", encoding="utf-8")
    assert shop.refresh(refresh="frozen").messages == [
        (
            "src/shop/defs/defs.yaml:1: [a] a/state differs from the manifest: "
            "2 bytes, sha256 4f53cda18c2b… "
            "instead of 3 bytes, sha256 080a9ed42855…\n"
            "  hint: run `defs-state refresh` first, or set `refresh` to another value"
        )
    ]
    shutil.rmtree(shop.state)
    (message,) = shop.refresh(refresh="frozen").messages
    assert message.startswith("refresh is frozen and there is no state to use: ")
    assert message.endswith(
        "\n  hint: run `defs-state refresh` first, or set `refresh` to another value"
    )


def test_of_two_refreshes_one_waits_and_takes_what_the_other_wrote(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": {"sleep": 0.5}}, refresh="reuse")
    project = projects.locate(projects.read_config(shop.root), shop.settings)
    events: list[list[Event]] = [[], []]

    def work(number: int) -> None:
        with Workspace.of(project.config) as workspace:
            refresh(project, shop.settings, workspace, events[number].append)

    with shop.environment():
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        for thread in threads:
            thread.join()
    assert shop.count("runs") == 1
    (waiting,) = [event for event in events[1] if isinstance(event, Waiting)]
    assert waiting.holder.startswith(f"process {os.getpid()}, since ")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file", encoding="utf-8")
    monkeypatch.setenv("DEFS_STATE_CACHE_DIR", str(blocked))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    shop = Shop.make(tmp_path / "shop", {"a": [1]}, refresh="reuse")
    assert shop.refresh().runs == 1
    assert shop.refresh().runs == 0
    assert list(tmp_path.glob("hatch-defs-state-*/projects/shop-*/record.json"))
