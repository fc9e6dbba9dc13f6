"""Components of a Dagster project: found, isolated from one another, explained when they fail."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import base_environment, run
from tests.support.frontends import kept_environment
from tests.support.plugin import ROOT
from tests.support.projects import copy_project, snapshot

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.slow

OURS = ("click", "dependency-groups", "packaging", "pathspec", "pyyaml", "filelock", "platformdirs")
DAGSTER = {
    "the oldest supported": ("dagster==1.12.0", "dagster-shared==1.12.0"),
    "the newest": ("dagster>=1.13.27",),
}
DEFS = "src/minimal/defs"


@pytest.fixture(params=DAGSTER)
def dagster(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with a Dagster release."""
    return kept_environment(*DAGSTER[request.param], *OURS)


@pytest.fixture
def newest() -> Path:
    """The interpreter of an environment with the newest Dagster."""
    return kept_environment(*DAGSTER["the newest"], *OURS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Dagster project without a component."""
    return copy_project("dagster_minimal", tmp_path)


def declare(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = project / DEFS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def defs_state(
    python: Path, project: Path, *arguments: str, **variables: str
) -> CompletedProcess[str]:
    environment = base_environment() | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    return run([python, "-m", "hatch_defs_state", *arguments], cwd=project, env=environment)


def listed(result: CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_components_in_yaml_and_python_are_found_with_their_places(
    dagster: Path, project: Path
) -> None:
    declare(
        project,
        {
            "stock/defs.yaml": (
                "type: minimal.components.Report\nattributes: {title: t}\n---\n\n"
                "type: minimal.components.Inventory\nattributes: {name: stock}\n"
            ),
            "deep/er/defs.yaml": (
                "type: minimal.components.Inventory\n"
                "attributes:\n"
                "  name: versioned\n"
                "  defs_state: {management_type: VERSIONED_STATE_STORAGE}\n"
            ),
            "code.py": (
                "import dagster as dg\nfrom minimal.components import Inventory\n\n\n"
                "@dg.component_instance\ndef first(context):\n    return Inventory(name='first')\n"
            ),
        },
    )
    before = snapshot(project)
    found = listed(defs_state(dagster, project, "list", "--json"))
    assert [
        (c["key"], c["management_type"], c["location"]["file"], c["location"]["line"])
        for c in found["components"]
    ] == [
        ("Inventory[first]", "LOCAL_FILESYSTEM", f"{DEFS}/code.py", 5),
        ("Inventory[stock]", "LOCAL_FILESYSTEM", f"{DEFS}/stock/defs.yaml", 5),
        ("Inventory[versioned]", "VERSIONED_STATE_STORAGE", f"{DEFS}/deep/er/defs.yaml", 1),
    ]
    assert {c["component_type"] for c in found["components"]} == {"minimal.components.Inventory"}
    assert snapshot(project) == before


def test_a_component_that_is_not_state_backed_stops_nobody(dagster: Path, project: Path) -> None:
    declare(
        project,
        {
            "stock/defs.yaml": "type: minimal.components.Inventory\nattributes: {name: stock}\n",
            "report/defs.yaml": (
                "type: minimal.components.Report\n"
                "attributes: {title: t, port: '{{ env.ONLY_IN_PRODUCTION }}'}\n"
            ),
            "assets.py": "import os\n\nos.environ['ONLY_IN_PRODUCTION']\n",
        },
    )
    result = defs_state(dagster, project, "refresh")
    assert result.returncode == 0, result.stderr
    assert (
        f"{DEFS}/assets.py was left out: importing it raised KeyError: 'ONLY_IN_PRODUCTION'"
        in result.stderr
    )
    state = project / DEFS / ".local_defs_state" / "Inventory__stock__" / "state"
    assert state.read_text(encoding="utf-8") == "stock\n"


def test_every_state_backed_component_that_cannot_load_is_an_error_with_its_own_cause(
    dagster: Path, project: Path
) -> None:
    declare(
        project,
        {
            "a/defs.yaml": (
                "type: minimal.components.Inventory\n"
                "attributes:\n  name: a\n  url: https://{{ env.STOCK_HOST }}/api\n"
            ),
            "b/defs.yaml": "type: minimal.components.Inventory\nattributes:\n  nme: b\n",
            "c/defs.yaml": "type: minimal.components.Inventry\n",
            "d/defs.yaml": "type: minimal.components.Report\nattributes: [\n",
            "e.py": (
                "import dagster as dg\n\n\n"
                "@dg.component_instance\ndef broken(context):\n    return 1 / 0\n"
            ),
            "f.py": "import dagster as dg\n\ndg.component_instance(1 / 0)\n",
        },
    )
    result = defs_state(dagster, project, "refresh")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {DEFS}/a/defs.yaml:4:3: the environment variable STOCK_HOST is not set",
        f"error: {DEFS}/b/defs.yaml:2: Inventory: attributes.name: Field required",
        f"error: {DEFS}/b/defs.yaml:3: Inventory: attributes.nme: Extra inputs are not permitted",
        (
            f"error: {DEFS}/c/defs.yaml:1: DagsterUnresolvableSymbolError: "
            "Module `minimal.components` has no attribute `Inventry`."
        ),
        (
            f"error: {DEFS}/d/defs.yaml:3:1: not valid YAML: "
            "expected the node content, but found '<stream end>'"
        ),
        (
            f"error: {DEFS}/e.py:4: this component cannot be loaded: "
            "ZeroDivisionError: division by zero; whether it is state-backed cannot be told"
        ),
        f"error: {DEFS}/f.py:3: importing it raised ZeroDivisionError: division by zero",
    ]


def test_two_components_with_one_key_are_refused_unless_they_are_equal(
    newest: Path, project: Path
) -> None:
    stock = "type: minimal.components.Inventory\nattributes: {name: stock}\n"
    declare(project, {"a/defs.yaml": stock, "b/defs.yaml": stock})
    found = listed(defs_state(newest, project, "list", "--json"))
    assert [component["key"] for component in found["components"]] == ["Inventory[stock]"]
    declare(project, {"b/defs.yaml": stock.replace("}", ", url: other}")})
    result = defs_state(newest, project, "list")
    assert result.returncode == 1
    assert (
        f"error: {DEFS}/b/defs.yaml:1: [Inventory[stock]] the component at {DEFS}/a/defs.yaml:1 "
        "has the same state key and another configuration"
    ) in result.stderr


def test_writers_do_not_run_as_under_the_dg_command(newest: Path, project: Path) -> None:
    declare(
        project,
        {
            "stock/defs.yaml": "type: minimal.probe.Probe\nattributes: {name: stock}\n",
            "../probe.py": (
                "import os\n\nfrom minimal.components import Inventory\n\n\n"
                "class Probe(Inventory):\n"
                "    def write_state_to_path(self, state_path):\n"
                "        state_path.write_text(str(os.environ.get('DAGSTER_IS_DEV_CLI')))\n"
            ),
        },
    )
    result = defs_state(newest, project, "refresh", DAGSTER_IS_DEV_CLI="1")
    assert result.returncode == 0, result.stderr
    state = project / DEFS / ".local_defs_state" / "Inventory__stock__" / "state"
    assert state.read_text(encoding="utf-8") == "None"


def test_an_environment_without_dagster_is_named(project: Path) -> None:
    declare(project, {"a/defs.yaml": "type: minimal.components.Inventory\n"})
    result = defs_state(kept_environment(*OURS), project, "refresh", "--python", "build")
    assert result.returncode == 1
    assert "No module named 'dagster'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_dbt_component_is_reused_until_its_project_changes(tmp_path: Path) -> None:
    python = kept_environment(
        *DAGSTER["the newest"],
        "dagster-dbt",
        "dagster-fivetran",
        "dbt-core<1.12",
        "dbt-duckdb",
        *OURS,
    )
    project = copy_project("dagster_platform", tmp_path)
    shutil.rmtree(project / "src/dagster_platform/defs/ingest")
    key = "DbtProjectComponent[dbt_project]"

    def outcome() -> str:
        result = defs_state(python, project, "refresh", "--refresh", "reuse", "--json")
        return str(listed(result)["keys"][key]["outcome"])

    def reasons() -> list[str]:
        found = listed(defs_state(python, project, "explain", key, "--json"))
        return list(found["reasons"])

    assert outcome() == "refreshed"
    assert not (project / "dbt_project" / "target").exists()
    (project / "dbt_project" / "target").mkdir()
    (project / "dbt_project" / "target" / "run_results.json").write_text("{}", encoding="utf-8")
    assert outcome() == "reused"
    model = project / "dbt_project" / "models" / "orders.sql"
    model.write_text(model.read_text(encoding="utf-8") + "-- changed\n", encoding="utf-8")
    assert reasons() == ["input dbt_project/models/orders.sql changed"]
    assert outcome() == "refreshed"
    assert reasons() == []
