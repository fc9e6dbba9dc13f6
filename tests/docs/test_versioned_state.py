"""The page on versioned state: its commands run on a store in a folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.pages import block, shell
from tests.support.projects import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "versioned-state.md"
STORE = "s3://platform-state/definitions"
RELOAD = " \\\n    --reload http://dagster-webserver:3000 --location platform"


@pytest.fixture
def versioned(tmp_path: Path) -> Path:
    """A project with one versioned component."""
    project = tmp_path / "shop"
    shutil.copytree(FIXTURES / "failing" / "project", project)
    (project / "src/broken/defs/defs.yaml").write_text(
        "type: broken.writers.Writer\nattributes:\n  management_type: VERSIONED_STATE_STORAGE\n",
        encoding="utf-8",
    )
    return project


def test_a_refresh_makes_a_commit_and_the_history_is_worked_on(
    versioned: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    refresh = block(PAGE, "refresh").replace(STORE, str(folder))
    assert RELOAD in refresh
    shell(refresh.replace(RELOAD, ""), versioned, tmp_path)
    storage = VersionedStorage(folder)
    assert storage.head().serial == 1
    other = tmp_path / "orders"
    other.mkdir()
    (other / "state").write_text("half of the orders", encoding="utf-8")
    storage.push({"orders": other})

    printed = shell(block(PAGE, "history").replace(STORE, str(folder)), versioned, tmp_path)
    assert "half empty" in next(storage.log()).message
    assert "3 commits kept, from 1 on" in printed
    assert storage.head().version_of("orders") == storage.commit(1).version_of("orders")
    storage.verify()


def test_what_dagster_yaml_names_is_there(tmp_path: Path) -> None:
    table = yaml.safe_load(block(PAGE, "dagster.yaml"))["defs_state_storage"]
    (tmp_path / "dagster.yaml").write_text(
        block(PAGE, "dagster.yaml").replace(STORE, str(tmp_path / "store")), encoding="utf-8"
    )
    assert (table["module"], table["class"]) == (
        "hatch_defs_state.dagster",
        "VersionedDefsStateStorage",
    )
    printed = shell("defs-state store log", tmp_path, tmp_path, {"DAGSTER_HOME": str(tmp_path)})
    assert f"there is no commit in {tmp_path / 'store'}" in printed


def test_what_dagster_yaml_says_of_a_silent_store_adds_one_line() -> None:
    told = yaml.safe_load(block(PAGE, "offline dagster.yaml"))
    assert told["defs_state_storage"]["config"].pop("offline") == "last-pinned"
    assert told == yaml.safe_load(block(PAGE, "dagster.yaml"))
