"""Versioned state in Dagster: a real web server, code servers, and runs in their processes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.dagster.reloading import reload_location
from hatch_defs_state.errors import ReloadError
from hatch_defs_state.storage.versioned import VersionedStorage, read_pins
from tests.support.commands import base_environment, printed, run
from tests.support.dagster_webserver import LOCATION, PATIENCE, Webserver, webserver
from tests.support.frontends import kept_environment
from tests.support.plugin import ROOT
from tests.support.projects import copy_project
from tests.test_dagster_storage import NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PROJECT = "dagster_versioned"
MODULE = "platform_versioned.definitions"
DAGSTER_YAML = """\
defs_state_storage:
  module: hatch_defs_state.dagster
  class: VersionedDefsStateStorage
  config: {base: {env: STATE_BASE}}
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
telemetry: {enabled: false}
"""


@dataclass(frozen=True)
class Platform:
    """A project with two versioned components, its store, and the folder that is their source."""

    python: Path
    root: Path
    folder: Path

    @property
    def storage(self) -> VersionedStorage:
        return VersionedStorage(self.folder / "store")

    @property
    def variables(self) -> dict[str, str]:
        return base_environment() | {
            "DAGSTER_HOME": str(self.folder / "home"),
            "STATE_BASE": str(self.folder / "store"),
            "SOURCES": str(self.folder / "sources"),
            "PYTHONPATH": f"{self.root / 'src'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def source(self, name: str, tables: Any) -> None:
        """Say which tables a source has from now on."""
        (self.folder / "sources" / f"{name}.json").write_text(json.dumps(tables))

    def refresh(self, *options: str) -> Any:
        """Refresh from the command line, and return the commit."""
        arguments = ["refresh", "--management-type", "VERSIONED_STATE_STORAGE", "--json", *options]
        result = run(
            [self.python, "-m", "hatch_defs_state", *arguments], cwd=self.root, env=self.variables
        )
        assert result.returncode == 0, printed(result)
        return json.loads(result.stdout)

    def saw(self, table: str) -> tuple[int, list[str]]:
        """Wait for what an asset leaves: its process, and the tables that it was defined with."""
        file = self.folder / "sources" / f"{table}.saw"
        deadline = time.monotonic() + PATIENCE
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline, f"{table} was not loaded"
            time.sleep(0.1)
        process, *tables = file.read_text().split()
        return int(process), tables

    def go_on(self) -> None:
        """Let assets end."""
        (self.folder / "sources" / "go on").touch()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    folder = tmp_path_factory.mktemp("platform")
    for name in ("home", "sources", "server"):
        (folder / name).mkdir()
    (folder / "home" / "dagster.yaml").write_text(DAGSTER_YAML)
    platform = Platform(kept_environment(*NEWEST), copy_project(PROJECT, folder), folder)
    platform.source("orders", ["placed", "shipped"])
    platform.source("stock", ["shelves"])
    assert platform.refresh()["commit"]["serial"] == 1
    return platform


@pytest.fixture(scope="module")
def server(platform: Platform) -> Iterator[Webserver]:
    folder = platform.folder / "server"
    with webserver(platform.python, MODULE, folder, platform.variables) as server:
        yield server


FIRST = {"orders/placed", "orders/shipped", "stock/shelves"}
SECOND = {"orders/placed", "orders/returned", "stock/shelves"}


def test_definitions_change_with_a_reload_and_a_run_keeps_those_that_it_began_with(
    platform: Platform, server: Webserver
) -> None:
    assert server.assets() == FIRST
    began = server.launch("load_all")
    first_step, tables = platform.saw("orders.placed")
    assert tables == ["placed", "shipped"]

    platform.source("orders", ["placed", "returned"])
    assert platform.refresh()["commit"]["serial"] == 2
    assert server.assets() == FIRST

    told = platform.refresh("--reload", server.url, "--location", LOCATION)
    assert (told["commit"]["serial"], told["commit"]["changes"]) == (2, {})
    assert told["reloaded"] == LOCATION
    assert server.assets() == SECOND

    leased = {
        v for pin in read_pins(platform.storage.store) for v in pin.versions["Tables[orders]"]
    }
    history = [platform.storage.commit(serial).version_of("Tables[orders]") for serial in (1, 2)]
    assert leased == set(history)

    platform.go_on()
    assert server.end_of(began) == "SUCCESS", server.messages(began)
    later_step, tables = platform.saw("orders.shipped")
    assert tables == ["placed", "shipped"]
    assert later_step != first_step

    platform.storage.rollback(1)
    assert server.assets() == SECOND
    reload_location(server.url, LOCATION)
    assert server.assets() == FIRST


def test_the_job_refreshes_in_batches_commits_once_and_reloads(
    platform: Platform, server: Webserver
) -> None:
    before = platform.storage.head().serial
    written = platform.folder / "sources" / "writers.log"
    written.unlink()
    platform.source("orders", ["placed", "paid"])
    platform.source("stock", ["shelves", "counted"])
    config = {"ops": {"refresh_defs_state_commit": {"config": {"webserver_url": server.url}}}}
    job = server.launch("refresh_defs_state", config)
    assert server.end_of(job) == "SUCCESS", server.messages(job)

    assert server.assets() == {"orders/placed", "orders/paid", "stock/shelves", "stock/counted"}
    head = platform.storage.head()
    assert head.serial == before + 1
    assert head.message == f"refresh platform-versioned: 2 keys, run {job}"
    assert set(head.entry.changes) == {"Tables[orders]", "Tables[stock]"}
    assert sorted(written.read_text().split()) == ["orders", "stock"]
    assert f"{LOCATION} has been reloaded by {server.url}" in "\n".join(server.messages(job))


def test_a_code_server_starts_without_the_store_where_that_is_allowed(
    platform: Platform, server: Webserver
) -> None:
    assets, serial, store = server.assets(), platform.storage.head().serial, platform.storage.url
    allowed = platform.variables | {"DEFS_STATE_OFFLINE": "last-pinned"}
    place, elsewhere = platform.folder / "store", platform.folder / "not mounted"
    folder = platform.folder / "without the store"
    folder.mkdir()
    place.rename(elsewhere)
    try:
        with webserver(platform.python, MODULE, folder, allowed) as started:
            assert started.assets() == assets
        assert not place.exists()
    finally:
        elsewhere.rename(place)
    said = f"there is no folder {store}; Dagster loads the commit {serial}, which it read last, "
    assert said in started.log.read_text()


def test_a_reload_that_goes_wrong_says_why(platform: Platform, server: Webserver) -> None:
    with pytest.raises(ReloadError) as unknown:
        reload_location(server.url, "plattform")
    assert str(unknown.value) == (
        f"{server.url} has no code location 'plattform'\n  hint: it has {LOCATION}"
    )
    state = platform.folder / "state"
    state.write_text('["not a name!"]')
    platform.storage.push({"Tables[orders]": state})
    with pytest.raises(ReloadError) as broken:
        reload_location(server.url, LOCATION)
    assert broken.value.message == f"{server.url} has reloaded '{LOCATION}', and it does not load"
    assert "not a name!" in (broken.value.output or "")
