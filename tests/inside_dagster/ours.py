"""What our state storage does beyond Dagster's interface."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)
from dagster._core.definitions.repository_definition import RepositoryLoadData
from dagster._core.instance_for_test import instance_for_test
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster.components.utils.defs_state import DefsStateConfig
from dagster_shared.serdes.objects.models.defs_state_info import (
    DefsStateInfo,
    DefsStateManagementType,
)

from hatch_defs_state.errors import DamagedObjectError, StateError, VersionConflictError
from hatch_defs_state.storage.versioned import VersionedStorage, read_pins
from tests.inside_dagster.storages import DAGSTERS, OURS, download, storage_at, upload, versions

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def dagsters(instance: DagsterInstance, base: Path) -> Any:
    """Dagster's class at the same base, with the same database."""
    return storage_at(DAGSTERS, base, instance)


@pytest.fixture
def ours(instance: DagsterInstance, base: Path) -> Any:
    return storage_at(OURS, base, instance)


def test_importing_the_package_does_not_import_dagster() -> None:
    script = "import sys, hatch_defs_state.dagster as d; print(d.__all__, 'dagster' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == (
        "['VersionedDefsStateStorage', 'build_refresh_job', 'build_refresh_schedule'] False\n"
    )


def test_dagster_yaml_names_it_and_the_base_may_come_from_a_variable(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_BASE", str(base))
    module, name, _ = OURS
    config = {"module": module, "class": name, "config": {"base": {"env": "STATE_BASE"}}}
    with instance_for_test(overrides={"defs_state_storage": config}) as instance:
        storage = instance.defs_state_storage
        assert type(storage).__name__ == name
        upload(storage, "a", "v1", b"1", tmp_path)
        assert instance.get_ref().defs_state_storage_data.class_name == name
    assert VersionedStorage(base).head().version_of("a") == "v1"


def test_versions_of_dagsters_class_are_served_before_and_after_they_are_taken_over(
    dagsters: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(dagsters, "a/x", "v1", b"old", tmp_path)
    upload(dagsters, "a/x", "v2", b"new", tmp_path)
    dagsters.set_latest_version("local", "__local__")
    dagsters.set_latest_version("gone", "never-stored")
    expected = {"a/x": "v2", "local": "__local__"}
    assert versions(ours) == expected
    assert (
        ours.get_latest_defs_state_info().info_mapping["a/x"]
        == (dagsters.get_latest_defs_state_info().info_mapping["a/x"])
    )
    assert [download(ours, "a/x", version, tmp_path) for version in ("v1", "v2")] == [
        b"old",
        b"new",
    ]
    assert not (base / "@defs-state" / "log").exists()

    upload(ours, "b", "v1", b"1", tmp_path)
    assert versions(ours) == {**expected, "b": "v1"}
    assert {k: v.version for k, v in VersionedStorage(base).head().versions.items()} == {
        **expected,
        "b": "v1",
    }
    assert download(ours, "a/x", "v2", tmp_path) == b"new"
    assert VersionedStorage(base).verify().is_clean


def test_what_was_taken_over_and_removed_does_not_come_back(
    dagsters: Any, ours: Any, base: Path, instance: DagsterInstance, tmp_path: Path
) -> None:
    upload(dagsters, "a", "v1", b"1", tmp_path)
    ours.set_latest_version("a", None)
    assert versions(ours) == {}
    assert versions(storage_at(OURS, base, instance)) == {}


def test_the_newer_of_two_pointers_counts(
    dagsters: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(dagsters, "a", "v1", b"1", tmp_path)
    upload(dagsters, "b", "v1", b"1", tmp_path)
    state = tmp_path / "state"
    state.write_bytes(b"2")
    version = VersionedStorage(base).push({"a": state}).version_of("a")
    assert versions(ours) == {"a": version, "b": "v1"}
    upload(dagsters, "a", "v3", b"3", tmp_path)
    assert versions(ours) == {"a": "v3", "b": "v1"}
    upload(ours, "c", "v1", b"1", tmp_path)
    assert versions(ours) == {"a": "v3", "b": "v1", "c": "v1"}


def _set_versions(base: str, number: int, count: int, barrier: Any) -> None:
    with DagsterInstance.ephemeral() as instance:
        storage = storage_at(OURS, base, instance)
        barrier.wait()
        for key in range(count):
            storage.set_latest_version(f"{number}/{key}", "v1")


def test_eight_processes_lose_no_update(ours: Any, base: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)
    workers = [
        context.Process(target=_set_versions, args=(str(base), number, 25, barrier))
        for number in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert versions(ours) == {f"{number}/{key}": "v1" for number in range(8) for key in range(25)}


def test_a_version_never_changes(ours: Any, tmp_path: Path) -> None:
    upload(ours, "a", "v1", b"1", tmp_path)
    upload(ours, "a", "v1", b"1", tmp_path)
    with pytest.raises(VersionConflictError):
        upload(ours, "a", "v1", b"2", tmp_path)
    assert download(ours, "a", "v1", tmp_path) == b"1"


def test_damage_is_an_error_and_leaves_nothing_behind(
    ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"complete", tmp_path)
    stored = base / "a" / "v1"
    stored.chmod(0o644)
    stored.write_bytes(b"compl")
    with pytest.raises(DamagedObjectError):
        download(ours, "a", "v1", tmp_path)
    assert not (tmp_path / "downloaded").exists()
    assert not list(tmp_path.glob(".downloaded*"))


def test_a_pointer_to_nothing_is_accepted_with_a_warning(
    ours: Any, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ours.set_latest_version("a", "v1")
    assert [record.getMessage() for record in caplog.records] == [
        f"a: the version v1 is made current, and nothing is stored for it in {base}"
    ]


def test_a_folder_can_be_a_state(ours: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_bytes(b"1")
    ours.upload_state_from_path("a", "v1", folder)
    for _ in range(2):
        ours.download_state_to_path("a", "v1", tmp_path / "restored")
        assert (tmp_path / "restored" / "sub" / "file").read_bytes() == b"1"


def test_what_lies_beside_a_state_of_ones_own_does_not_belong_to_it(
    ours: Any, tmp_path: Path
) -> None:
    (tmp_path / "state").write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"2")
    ours.upload_state_from_path("a", "v1", tmp_path / "state")
    assert list(ours.versioned.describe("a", "v1").files) == ["state"]


def with_siblings(ours: Any) -> None:
    """Upload what a dbt component writes, as Dagster's refresh does it."""
    with tempfile.TemporaryDirectory() as name:
        project = Path(name, "project")
        (project / "target").mkdir(parents=True)
        (project / ".git").mkdir()
        (project / ".git" / "config").write_text("token")
        (project / "target" / "manifest.json").write_text("{}")
        Path(name, "state").touch()
        ours.upload_state_from_path("dbt", "v1", Path(name, "state"))


def test_files_beside_a_state_are_handed_out_at_a_place_that_stays(
    ours: Any, tmp_path: Path
) -> None:
    with_siblings(ours)
    assert sorted(ours.versioned.describe("dbt", "v1").files) == [
        "project/target/manifest.json",
        "state",
    ]
    config = DefsStateConfig(
        key="dbt",
        management_type=DefsStateManagementType.VERSIONED_STATE_STORAGE,
        refresh_if_dev=True,
    )
    with set_defs_state_storage(ours):
        context = DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)
        with context.state_path(config, ours, tmp_path) as state_path:
            assert state_path.read_bytes() == b""
        manifest = state_path.parent / "project" / "target" / "manifest.json"
        assert manifest.read_text() == "{}"
        with context.state_path(config, ours, tmp_path) as again:
            assert again == state_path


def test_files_beside_a_state_are_found_where_dagster_asked_for_it(
    ours: Any, tmp_path: Path
) -> None:
    with_siblings(ours)
    place = tmp_path / "empty"
    place.mkdir()
    ours.download_state_to_path("dbt", "v1", place / "state")
    assert (place / "state").read_bytes() == b""
    assert (place / "project" / "target" / "manifest.json").read_text() == "{}"
    ours.download_state_to_path("dbt", "v1", tmp_path / "elsewhere")
    assert not (tmp_path / "project").exists()


def test_where_there_are_no_links_files_are_copied(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store in a folder needs links itself.
    ours = storage_at(OURS, "memory://without-links", instance)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(os, "link", refuse)
    with_siblings(ours)
    place = tmp_path / "empty"
    place.mkdir()
    ours.download_state_to_path("dbt", "v1", place / "state")
    assert (place / "project" / "target" / "manifest.json").read_text() == "{}"
    assert not (place / "project").is_symlink()


def test_a_link_that_leaves_the_state_is_refused(ours: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "secrets").symlink_to("/etc/passwd")
    with pytest.raises(StateError, match="secrets is a link that leaves the state folder"):
        ours.upload_state_from_path("a", "v1", folder)
    assert versions(ours) is None


_LOAD = """
import os, sys, tempfile
from pathlib import Path
from dagster import DagsterInstance
from tests.inside_dagster.storages import OURS, storage_at

with DagsterInstance.ephemeral() as instance, tempfile.TemporaryDirectory() as folder:
    storage = storage_at(OURS, sys.argv[1], instance)
    for key, value in storage.get_latest_defs_state_info().info_mapping.items():
        storage.download_state_to_path(key, value.version, Path(folder, "state"))
    pins = Path(sys.argv[1], "@defs-state", "pins")
    print(len(os.listdir(pins)), (pins / os.listdir(pins)[0]).read_text())
"""


def test_what_a_process_has_loaded_is_leased_once_until_it_ends(
    ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"1", tmp_path)
    upload(ours, "b", "v1", b"1", tmp_path)
    script = [sys.executable, "-c", _LOAD, str(base)]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    count, _, pin = result.stdout.partition(" ")
    assert count == "1"
    assert json.loads(pin)["versions"] == {"a": ["v1"], "b": ["v1"]}
    assert list(read_pins(VersionedStorage(base).store)) == []


def test_a_reconstruction_leases_all_that_it_was_pinned_to(
    ours: Any, base: Path, tmp_path: Path
) -> None:
    for key in ("a", "b"):
        upload(ours, key, "v1", b"1", tmp_path)
    pinned = DefsStateInfo(info_mapping=ours.get_latest_defs_state_info().info_mapping)
    upload(ours, "a", "v2", b"2", tmp_path)
    ours.get_latest_defs_state_info()
    context = DefinitionsLoadContext(
        DefinitionsLoadType.RECONSTRUCTION, RepositoryLoadData(defs_state_info=pinned)
    )
    DefinitionsLoadContext.set(context)
    try:
        assert download(ours, "a", "v1", tmp_path) == b"1"
    finally:
        DefinitionsLoadContext._instance = None
    (pin,) = read_pins(VersionedStorage(base).store)
    assert pin.versions == {"a": ("v1",), "b": ("v1",)}
    assert pin.note.startswith(f"process {os.getpid()} on ")
