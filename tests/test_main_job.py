"""The main job: a stock Dagster project becomes a wheel that carries its state."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tests.support.codeserver import served_asset_keys
from tests.support.commands import printed
from tests.support.environments import make_environment, public_folder
from tests.support.fivetran_server import FivetranServer
from tests.support.frontends import build_wheel
from tests.support.plugin import plugin_requirement
from tests.support.projects import copy_project, snapshot, with_hook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.frontends import BuildResult

pytestmark = pytest.mark.slow

MODULE = "dagster_platform.definitions"
VALIDATE = ("-m", "dagster", "definitions", "validate", "-m", MODULE)

STATE_FOLDER = PurePosixPath("dagster_platform/defs/.local_defs_state")
STATE_ENTRIES = {
    ".gitignore",
    "CsvCatalogComponent__landing__",
    "DbtProjectComponent__dbt_project__",
    "FivetranAccountComponent__shop_account__",
    "manifest.json",
}

ASSET_KEYS = {
    "crm/account",
    "customers",
    "landing/refunds",
    "landing/shipments",
    "orders",
    "raw_orders",
    "revenue_by_country",
    "shop/orders",
    "shop/visits",
    "weekly_report",
}

FIVETRAN_REQUESTS = [
    "/v1/groups",
    "/v1/destinations/shop_warehouse",
    "/v1/groups/shop_warehouse/connectors?limit=1000",
    "/v1/groups/shop_warehouse/connectors?limit=1000&cursor=1",
    "/v1/connectors/bronze_lantern/schemas",
    "/v1/connectors/quiet_harbour/schemas",
]


def test_a_stock_project_loads_anywhere_with_the_hook_and_nowhere_without_it(
    tmp_path: Path,
) -> None:
    project = copy_project("dagster_platform", tmp_path)
    with public_folder() as public, FivetranServer(page_size=1) as fivetran:
        without = build_wheel(project, tmp_path / "without")
        assert_builds_in_silence_and_cannot_load(
            without, "DagsterDbtProjectNotFoundError", public, fivetran
        )
        assert fivetran.requests == []

        with_hook(project, plugin_requirement(tmp_path))
        before = snapshot(project)
        build = build_wheel(project, tmp_path / "with", env=fivetran.environment)
        wheel = build.expect_wheel()
        assert snapshot(project) == before
        assert fivetran.requests == FIVETRAN_REQUESTS
        assert entries(wheel, STATE_FOLDER) == STATE_ENTRIES
        assert "dg.toml" in entries(wheel, STATE_FOLDER.parents[1])

        environment = make_environment(public, wheel)
        environment.make_read_only()
        shutil.rmtree(project)
        load = environment.run_as_stranger(VALIDATE, env=fivetran.environment)
        assert load.returncode == 0, printed(load)
        assert served_asset_keys(environment, MODULE, fivetran.environment) == ASSET_KEYS
        assert fivetran.requests == FIVETRAN_REQUESTS, "loading asked Fivetran again"

        refreshed = copy_project("dagster_platform", tmp_path)
        unpack(wheel, STATE_FOLDER, refreshed / "src")
        without = build_wheel(refreshed, tmp_path / "refreshed")
        assert entries(without.expect_wheel(), STATE_FOLDER) == STATE_ENTRIES
        assert_builds_in_silence_and_cannot_load(
            without, "DagsterDbtManifestNotFoundError", public, fivetran
        )


def assert_builds_in_silence_and_cannot_load(
    build: BuildResult, error: str, public: Path, fivetran: FivetranServer
) -> None:
    """Assert that only production tells what is wrong, even where everything may be written."""
    assert "warn" not in build.output.lower(), build.output
    environment = make_environment(public, build.expect_wheel())
    load = environment.run(VALIDATE, env=fivetran.environment)
    assert load.returncode != 0, printed(load)
    assert error in load.stdout, printed(load)


def entries(wheel: Path, folder: PurePosixPath) -> set[str]:
    """Return the names of the files and folders directly in a folder of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
    return {path.relative_to(folder).parts[0] for path in paths if path.is_relative_to(folder)}


def unpack(wheel: Path, folder: PurePosixPath, destination: Path) -> None:
    """Extract a folder of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).is_relative_to(folder)]
        archive.extractall(destination, names)
