"""Definitions are built from state that was there as a whole, and that stays until a reload."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state import CodeLocation, Pins
from hatch_defs_state.errors import (
    ComponentError,
    DefsStateError,
    KeyConflictError,
    ProjectError,
    SettingsError,
    StateError,
)
from hatch_defs_state.location import memory_folder
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.storage.versioned import VersionedStorage, read_pins
from tests.support.commands import base_environment, run
from tests.support.forks import fork
from tests.support.locations import LOCAL, SNAPSHOT, VERSIONED, Located

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Located]


@pytest.fixture
def mixed(make: Make) -> Located:
    """A project with a component of every management type."""
    project = make(local=LOCAL, remote=VERSIONED, shot=SNAPSHOT)
    project.configure(store='"../store"')
    project.publish(local="l1")
    project.push(remote="r1")
    project.plan(shot="s1")
    return project


def test_every_management_type_is_loaded_from_where_it_keeps_state(mixed: Located) -> None:
    with CodeLocation(mixed.module) as location:
        assert dict(location.definitions) == {
            "local": {"local": "l1"},
            "remote": {"remote": "r1"},
            "shot": {"shot": "s1"},
        }
        assert location.merged == {"local": "l1", "remote": "r1", "shot": "s1"}
        assert location.serial == 1
        assert list(location.versions) == ["local", "remote", "shot"]
        assert location.versions["remote"] == mixed.storage.head().version_of("remote")
    assert mixed.runs() == ["shot"]


def test_nothing_changes_until_a_reload_and_then_everything_does(mixed: Located) -> None:
    with CodeLocation(mixed.module) as location:
        before = location.merged, dict(location.versions), location.pins
        mixed.publish(local="l2")
        mixed.push(remote="r2")
        mixed.plan(shot="s2")
        assert (location.merged, dict(location.versions), location.pins) == before
        location.reload()
        assert location.merged == {"local": "l2", "remote": "r2", "shot": "s2"}
        assert location.serial == 2
    assert mixed.runs() == ["shot", "shot"]


def test_a_reload_that_fails_leaves_everything_as_it_was(mixed: Located) -> None:
    with CodeLocation(mixed.module) as location:
        before = location.merged, dict(location.versions)
        held = [pin.name for pin in read_pins(mixed.storage.store)]
        mixed.publish(local="l2")
        mixed.push(remote="r2")
        mixed.plan(shot=None)
        with pytest.raises(ComponentError, match="RuntimeError: the source is down"):
            location.reload()
        assert (location.merged, dict(location.versions)) == before
        assert [pin.name for pin in read_pins(mixed.storage.store)] == held
        mixed.plan(shot="s2")
        location.reload()
        assert location.merged == {"local": "l2", "remote": "r2", "shot": "s2"}


def test_a_refresh_while_it_loads_changes_nothing_of_what_it_reads(make: Make) -> None:
    project = make(a=LOCAL, b=LOCAL)
    project.publish(a="a1", b="b1")
    other = project.folder / "next"
    project.publish_to(other, {"a": "a2", "b": "b2"})
    project.while_building(
        "import os, pathlib\n"
        f"tree, other = {str(project.state)!r}, {str(other)!r}\n"
        "if os.path.exists(other):\n"
        "    os.rename(tree, tree + '.gone'); os.rename(other, tree)\n"
        "    import shutil; shutil.rmtree(tree + '.gone')\n"
    )
    with CodeLocation(project.module) as location:
        assert location.merged == {"a": "a1", "b": "b1"}
        location.reload()
        assert location.merged == {"a": "a2", "b": "b2"}


def test_locations_that_load_while_the_tree_is_refreshed_see_one_generation(make: Make) -> None:
    project = make(a=LOCAL, b=LOCAL)
    project.publish(a="0", b="0")
    ended = threading.Event()

    def refresh() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            project.publish(a=str(number), b=str(number))

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        with CodeLocation(project.module) as location:
            for _ in range(25):
                location.reload()
                merged = location.merged
                assert merged["a"] == merged["b"]
    finally:
        ended.set()
        thread.join()


def test_what_an_editor_changes_in_the_tree_does_not_reach_a_loaded_location(make: Make) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    with CodeLocation(project.module):
        (project.state / "a" / "state").write_text("edited")
        assert [path.read_text() for path in project.paths()] == ["a1"]


def test_an_installed_package_is_read_in_its_place(make: Make) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    site = project.install()
    with CodeLocation(project.module) as location:
        assert location.merged == {"a": "a1"}
    assert project.paths() == [site / project.package / "defs/.local_defs_state/a/state"]


def test_a_source_tree_on_a_read_only_file_system_is_read_in_its_place(
    make: Make, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    facts = os.statvfs(project.defs)
    read_only = os.statvfs_result((*facts[:8], facts.f_flag | os.ST_RDONLY, facts.f_namemax))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    with CodeLocation(project.module) as location:
        assert location.merged == {"a": "a1"}
    assert project.paths() == [project.state / "a" / "state"]
    assert unwritable.read_bytes() == b""


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of the cache and of the temporary folder."""
    file = tmp_path / "a file"
    file.touch()
    monkeypatch.setenv("DEFS_STATE_CACHE_DIR", str(file / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(file))
    return file


def test_an_installed_package_loads_where_nothing_can_be_written(
    make: Make, unwritable: Path
) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    project.install()
    with CodeLocation(project.module) as location:
        assert location.merged == {"a": "a1"}
    assert unwritable.read_bytes() == b""


def test_what_a_refresh_may_replace_is_not_read_without_a_copy(
    make: Make, unwritable: Path
) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    with pytest.raises(StateError, match=f"neither {unwritable}/cache nor {unwritable}/.* can be"):
        CodeLocation(project.module)


@pytest.mark.parametrize("installed", [False, True])
def test_damaged_local_state_is_an_error(make: Make, installed: bool) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    (project.state / "a" / "state").write_text("a2")
    if installed:
        project.install()
    with pytest.raises(StateError, match="a/state differs from the manifest: 2 bytes") as caught:
        CodeLocation(project.module, allow_missing="*")
    assert caught.value.key == "a"
    assert caught.value.hint is not None
    assert ("install the package again" in caught.value.hint) is installed
    assert ("run `defs-state refresh`" in caught.value.hint) is not installed


def test_state_without_a_manifest_is_no_missing_state(make: Make) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    (project.state / "manifest.json").unlink()
    with pytest.raises(DefsStateError, match="no complete generation is there"):
        CodeLocation(project.module, allow_missing="*")


def test_missing_state_is_an_error_that_says_where_and_what_to_do(make: Make) -> None:
    project = make(a=LOCAL, b=LOCAL, r=VERSIONED)
    project.configure(store='"../store"')
    project.publish(a="a1")
    project.push(other="x")
    with pytest.raises(DefsStateError) as caught:
        CodeLocation(project.module)
    file = f"src/{project.package}/defs/defs.yaml"
    assert str(caught.value) == (
        f"{file}:4: [b] there is no state for this component\n"
        "  hint: run `defs-state refresh`, or build the package anew; if it may load without, "
        'set `allow-missing = ["b"]`\n'
        f"{file}:7: [r] there is no state for this component in the commit 1 of "
        f"{project.storage.url}\n"
        "  hint: run `defs-state refresh --management-type VERSIONED_STATE_STORAGE`; if it may "
        'load without, set `allow-missing = ["r"]`'
    )


def test_where_it_is_allowed_missing_state_is_none(make: Make) -> None:
    project = make(a=LOCAL, b=LOCAL, r=VERSIONED)
    project.configure(store='"../store"', allow_missing='["b", "r*"]')
    project.publish(a="a1")
    with CodeLocation(project.module) as location:
        assert dict(location.definitions) == {"a": {"a": "a1"}, "b": None, "r": None}
        assert location.versions["b"] is None
        assert location.pins.missing == ("b", "r")


def test_a_versioned_component_without_a_store_is_an_error(make: Make) -> None:
    project = make(r=VERSIONED)
    with pytest.raises(SettingsError) as caught:
        CodeLocation(project.module)
    assert str(caught.value) == (
        f"src/{project.package}/defs/defs.yaml:1: [r] the state is kept in versioned storage, "
        "and no store is set\n"
        "  hint: set `store` under [tool.defs-state] in pyproject.toml, DEFS_STATE_STORE in the "
        "environment, or CodeLocation(store=…)"
    )


def test_markers_of_dagster_are_no_state(make: Make) -> None:
    project = make(r=VERSIONED)
    project.storage.set_version("r", "__local__")
    with pytest.raises(StateError, match="no state for this component in the commit 1"):
        CodeLocation(project.module, store=project.storage)


def test_settings_come_from_the_caller_then_the_environment_then_the_file(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(r=VERSIONED)
    stores = {name: project.folder / name for name in ("file", "environment", "caller")}
    for name, folder in stores.items():
        project.push(VersionedStorage(folder), r=name)
    project.configure(store='"../file"')
    found = []
    with CodeLocation(project.module) as location:
        found.append(location.merged["r"])
    monkeypatch.setenv("DEFS_STATE_STORE", str(stores["environment"]))
    with CodeLocation(project.module) as location:
        found.append(location.merged["r"])
    with CodeLocation(project.module, store=stores["caller"]) as location:
        found.append(location.merged["r"])
    assert found == ["file", "environment", "caller"]


def test_an_installed_package_takes_what_its_build_recorded(make: Make) -> None:
    project = make(r=VERSIONED, x=LOCAL)
    project.push(r="r1")
    settings = {"store": str(project.folder / "store"), "allow-missing": ["x"]}
    project.publish_to(project.state, {}, settings=settings)
    project.install()
    with CodeLocation(project.module) as location:
        assert dict(location.definitions) == {"r": {"r": "r1"}, "x": None}


def test_unknown_values_are_errors(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(a=LOCAL)
    project.publish(a="a1")
    with pytest.raises(SettingsError) as caught:
        CodeLocation(project.module, offline="perhaps")
    assert str(caught.value) == (
        'CodeLocation: arguments.offline: expected "fail", "last-pinned" or "bundled", '
        "got 'perhaps'"
    )
    monkeypatch.setenv("DEFS_STATE_DEV", "maybe")
    with pytest.raises(SettingsError) as caught:
        CodeLocation(project.module)
    assert str(caught.value) == ("environment: DEFS_STATE_DEV: expected true or false, got 'maybe'")


def test_components_with_one_key_share_a_state_or_are_an_error(make: Make) -> None:
    project = make(s=SNAPSHOT)
    project.plan(s="s1")
    twice = (project.defs / "defs.yaml").read_text("utf-8")
    (project.defs / "defs.yaml").write_text(f"{twice}---\n{twice}", "utf-8")
    with CodeLocation(project.module) as location:
        assert location.merged == {"s": "s1"}
    assert project.runs() == ["s"]
    other = twice.replace("kind", "note: other, kind")
    (project.defs / "defs.yaml").write_text(f"{twice}---\n{other}", "utf-8")
    with pytest.raises(KeyConflictError, match="has the same state key and another configuration"):
        CodeLocation(project.module)


def test_a_location_without_components_is_empty(make: Make) -> None:
    project = make()
    with CodeLocation(project.module) as location:
        assert dict(location.definitions) == {}
        assert location.merged is None


def test_a_project_of_dagster_is_left_to_dagster(make: Make) -> None:
    project = make(a=LOCAL)
    (project.root / "dg.toml").write_text('directory_type = "project"\n[project]\n', "utf-8")
    with pytest.raises(ProjectError) as caught:
        CodeLocation(project.module)
    assert str(caught.value) == (
        f"{project.module} is Dagster's: it loads such definitions itself\n"
        "  hint: use `dagster.load_from_defs_folder`; for versioned state, name "
        "hatch_defs_state.dagster.VersionedDefsStateStorage in dagster.yaml"
    )


def test_a_process_that_ends_without_closing_leaves_no_lease(mixed: Located) -> None:
    script = (
        "import sys; from hatch_defs_state import CodeLocation; "
        f"sys.path.insert(0, {str(mixed.root / 'src')!r}); "
        f"location = CodeLocation({mixed.module!r}); print(location.serial)"
    )
    result = run([sys.executable, "-c", script])
    assert (result.stdout, result.stderr) == ("1\n", "")
    assert list(read_pins(mixed.storage.store)) == []
    assert not Path((mixed.folder / "places" / "shot").read_text()).exists()


class TestSnapshots:
    @pytest.fixture
    def project(self, make: Make) -> Located:
        project = make(s=SNAPSHOT)
        project.plan(s="a secret")
        return project

    def test_are_written_to_memory_and_never_to_the_disk(self, project: Located) -> None:
        if not memory_folder.SHARED_MEMORY.is_dir():
            pytest.skip("there is no folder in memory on this system")
        with CodeLocation(project.module) as location:
            written = Path((project.folder / "places" / "s").read_text())
            assert written.is_relative_to(memory_folder.SHARED_MEMORY)
            assert written.parents[1].stat().st_mode & 0o777 == 0o700
            assert location.pins.snapshots == {"s": {"state": b"a secret"}}
            plan = project.folder / "plan.json"
            on_disk = [f for f in project.folder.rglob("*") if f.is_file() and f != plan]
            assert not [f for f in on_disk if b"a secret" in f.read_bytes()]
        assert not written.exists()

    def test_elsewhere_the_disk_is_used_until_definitions_are_built(
        self, project: Located, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(memory_folder, "SHARED_MEMORY", tmp_path / "absent")
        with CodeLocation(project.module) as location:
            assert location.merged == {"s": "a secret"}
            assert not Path((project.folder / "places" / "s").read_text()).exists()
            assert location.pins.snapshots == {"s": {"state": b"a secret"}}

    def test_that_a_killed_process_left_are_removed_by_the_next(self, project: Located) -> None:
        script = (
            "import sys; from hatch_defs_state import CodeLocation; "
            f"sys.path.insert(0, {str(project.root / 'src')!r}); "
            f"location = CodeLocation({project.module!r}); print('loaded', flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "loaded\n"
            left = Path((project.folder / "places" / "s").read_text())
            with CodeLocation(project.module):
                assert left.exists()
            process.kill()
        with CodeLocation(project.module):
            assert not left.exists()

    def test_are_handed_on_as_they_were_read(
        self, project: Located, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEFS_STATE_EXCLUDE", "*.log")
        module = project.root / "src" / project.package / "components.py"
        code = module.read_text("utf-8").replace(
            "        state_path.write_text(content)\n",
            "        state_path.write_text(content)\n"
            "        (state_path.parent / 'writer.log').write_text('noise')\n",
        )
        module.write_text(code, "utf-8")
        project.while_building(
            "names = sorted(f.name for f in path.parent.iterdir())\n"
            "assert names == ['state'], names"
        )
        with CodeLocation(project.module) as location:
            assert location.pins.snapshots == {"s": {"state": b"a secret"}}

    def test_that_are_empty_are_an_error(self, project: Located) -> None:
        project.plan(s="")
        with pytest.raises(StateError) as caught:
            CodeLocation(project.module)
        assert str(caught.value) == (
            f"src/{project.package}/defs/defs.yaml:1: [s] the state is empty\n"
            '  hint: if it may be, set `allow-empty = ["s"]`'
        )
        assert not Path((project.folder / "places" / "s").read_text()).exists()

    def test_can_be_written_where_an_event_loop_runs(self, project: Located) -> None:
        async def load() -> object:
            with CodeLocation(project.module) as location:
                return location.merged

        assert asyncio.run(load()) == {"s": "a secret"}


class TestPins:
    def in_child(self, project: Located, pins: Pins, *more: str) -> str:
        """Load with pins, as JSON, in a new process that then prints the definitions."""
        script = (
            "import json, sys; from hatch_defs_state import CodeLocation, DefsStateError, Pins\n"
            f"sys.path.insert(0, {str(project.root / 'src')!r})\n"
            f"sys.path.insert(0, {str(project.folder / 'site-packages')!r})\n"
            "try:\n"
            "    pins = Pins.parse(json.load(sys.stdin))\n"
            f"    with CodeLocation({project.module!r}, pins=pins) as location:\n"
            "        print(json.dumps([location.merged, dict(location.versions)]))\n"
            "except DefsStateError as error:\n"
            "    print(error)\n"
        )
        environment = base_environment() | dict(item.split("=", 1) for item in more)
        result = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(pins.to_json()),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout

    def test_give_the_same_definitions_in_another_process_whatever_came_since(
        self, mixed: Located
    ) -> None:
        with CodeLocation(mixed.module) as location:
            expected = [location.merged, dict(location.versions)]
            mixed.publish(local="l2")
            mixed.push(remote="r2")
            mixed.plan(shot=None)
            child = self.in_child(mixed, location.pins, "DEFS_STATE_DEV=1")
            assert json.loads(child) == expected
        assert mixed.runs() == ["shot"]

    def test_need_the_store_only_for_what_is_not_in_the_cache(
        self, mixed: Located, cache: Path
    ) -> None:
        with CodeLocation(mixed.module) as location:
            expected = [location.merged, dict(location.versions)]
            shutil.rmtree(cache)
            assert json.loads(self.in_child(mixed, location.pins)) == expected
            shutil.move(mixed.folder / "store", mixed.folder / "away")
            assert json.loads(self.in_child(mixed, location.pins)) == expected

    def test_of_local_state_that_is_gone_are_an_error(self, make: Make, cache: Path) -> None:
        project = make(a=LOCAL)
        first = project.publish(a="a1").keys["a"].digest[:12]
        with CodeLocation(project.module) as location:
            second = project.publish(a="a2").keys["a"].digest[:12]
            shutil.rmtree(cache)
            child = self.in_child(project, location.pins)
        assert child == (
            f"[a] the state is not the pinned one: its digest is {second}… instead of {first}…\n"
            "  hint: load the code location with the same build, and the same state, in both "
            "processes\n"
        )

    def test_are_a_value_that_can_be_pickled(self, mixed: Located) -> None:
        with CodeLocation(mixed.module) as location:
            pins = location.pins
        assert pickle.loads(pickle.dumps(pins)) == pins
        assert Pins.parse(json.loads(json.dumps(pins.to_json()))) == pins

    def test_of_something_else_are_an_error(self, mixed: Located) -> None:
        with CodeLocation(mixed.module) as location:
            pins = location.pins
        with pytest.raises(SettingsError, match=r"these are no pins of a code location \(KeyError"):
            Pins.parse({"schema": 1})
        mixed.declare(local=LOCAL, remote=VERSIONED, shot=SNAPSHOT, new=LOCAL)
        with pytest.raises(StateError, match=r"\[new\] the pins say nothing of this component"):
            CodeLocation(mixed.module, pins=pins)

    def test_of_another_history_are_an_error(self, mixed: Located, cache: Path) -> None:
        with CodeLocation(mixed.module) as location:
            pins = location.pins
        shutil.rmtree(cache)
        shutil.rmtree(mixed.folder / "store")
        mixed.push(remote="other")
        with pytest.raises(DefsStateError, match="commit 1 belongs to another history than that"):
            CodeLocation(mixed.module, pins=pins)


class TestForks:
    def test_go_on_with_what_was_loaded(self, mixed: Located) -> None:
        location = CodeLocation(mixed.module)
        paths = mixed.paths()
        pins = [pin.name for pin in read_pins(mixed.storage.store)]
        assert len(pins) == 1
        reader, writer = os.pipe()
        told, tell = os.pipe()
        child = fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            texts = [path.read_text() for path in paths]
            location.close()
            same = [pin.name for pin in read_pins(mixed.storage.store)]
            os.write(tell, json.dumps([location.merged, texts, same]).encode())
            os._exit(0)
        os.close(reader)
        # The parent moves on, and all that it no longer needs goes; the child is not done yet.
        mixed.publish(local="l2")
        mixed.plan(shot="s2")
        location.reload()
        VersionCache(limit=0).trim()
        now = [pin.name for pin in read_pins(mixed.storage.store)]
        os.close(writer)
        found = json.loads(os.read(told, 100_000))
        os.waitpid(child, 0)
        assert found[0] == {"local": "l1", "remote": "r1", "shot": "s1"}
        assert sorted(found[1]) == ["l1", "r1", "s1"]
        # Closing the child's has not ended the lease of its parent.
        assert found[2] == now
        location.close()
        assert list(read_pins(mixed.storage.store)) == []

    def test_can_reload_for_themselves_from_a_folder(self, mixed: Located) -> None:
        location = CodeLocation(mixed.module)
        mixed.push(remote="r2")
        told, tell = os.pipe()
        child = fork()
        if child == 0:
            location.reload()
            os.write(tell, json.dumps(location.merged).encode())
            location.close()
            os._exit(0)
        assert json.loads(os.read(told, 100_000))["remote"] == "r2"
        os.waitpid(child, 0)
        assert location.merged["remote"] == "r1"
        assert [pin.versions["remote"] for pin in read_pins(mixed.storage.store)] == [
            (location.versions["remote"],)
        ]
        location.close()


def test_threads_that_reload_and_read_see_whole_loads(mixed: Located) -> None:
    errors: list[object] = []
    with CodeLocation(mixed.module) as location:

        def work() -> None:
            try:
                for _ in range(5):
                    location.reload()
                    if location.merged != {"local": "l1", "remote": "r1", "shot": "s1"}:
                        errors.append(location.merged)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(list(read_pins(mixed.storage.store))) == 1
