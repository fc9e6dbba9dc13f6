"""The page on Dagster+: its builder makes the PEX file, and the code is loaded as its servers do.

`dagster-cloud-cli` builds here without an account: the file that it would upload. Its file of
dependencies is left out, which holds what the index has and nothing of the project; an environment
with Dagster stands for it. What follows the upload is not tried.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation
from tests.support.commands import printed, run
from tests.support.doctored import findings
from tests.support.frontends import kept_environment
from tests.support.pages import block, blocks, shell
from tests.support.plugin import ROOT
from tests.support.projects import copy_project
from tests.test_dagster_components import OURS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "dagster-plus.md"
STATE = "minimal/defs/.local_defs_state"
COPY = "working_directory/root"

# The newest pex of which the package index had the pip that comes with it.
BUILDER = ("dagster>=1.13.27", "dagster-cloud-cli>=1.13", "pex==2.100.0", "uv", *OURS)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BUILD = """
import sys
from packaging.version import Version
from dagster_cloud_cli.core.pex_builder import source
source.build_source_pex("project", [], "built", Version(sys.argv[1]))
"""
LOAD = """
import minimal.definitions as module
print(*sorted(key.to_user_string() for key in module.defs().resolve_all_asset_keys()))
"""


@pytest.fixture
def builder() -> Path:
    """The interpreter of an environment with Dagster and Dagster+'s command line."""
    return kept_environment(*BUILDER)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Dagster project with the hook and one component, which writes the value of `STOCK`."""
    project = copy_project("dagster_minimal", tmp_path).rename(tmp_path / "project")
    file = project / "pyproject.toml"
    text = file.read_text(encoding="utf-8").replace(
        '"hatchling"]', '"hatchling", "hatch-defs-state"]'
    )
    file.write_text(f"{text}\n[tool.hatch.build.hooks.defs-state]\n", encoding="utf-8")
    folder = project / "src/minimal/defs/inventory"
    folder.mkdir()
    (folder / "defs.yaml").write_text(
        "type: minimal.components.Inventory\nattributes:\n  name: stock\n", encoding="utf-8"
    )
    components = project / "src/minimal/components.py"
    code = components.read_text(encoding="utf-8")
    changed = code.replace('f"{self.name}\\n"', "__import__('os').environ['STOCK']")
    assert changed != code
    components.write_text(changed, encoding="utf-8")
    return project


def flatten(project: Path) -> Path:
    """Move the package into the project's root."""
    (project / "src" / "minimal").rename(project / "minimal")
    (project / "src").rmdir()
    return project


def build(builder: Path, project: Path, wheels: Path, **variables: str) -> zipfile.Path:
    """Run Dagster+'s builder and return what is in the file that it makes."""
    place = project.parent
    shutil.rmtree(place / "built", ignore_errors=True)
    shell(f"{builder} -c {shlex.quote(BUILD)} {PYTHON}", place, wheels, with_(builder, variables))
    (made,) = (place / "built").glob("source-*.pex")
    return zipfile.Path(made)


def with_(builder: Path, variables: dict[str, str]) -> dict[str, str]:
    """Let the programs of the builder's environment come first."""
    return {"PATH": f"{builder.parent}:/usr/local/bin:/usr/bin:/bin", **variables}


def load(builder: Path, made: zipfile.Path, place: Path) -> str:
    """Unpack a file and load it as a code server of Dagster+ does; return the asset keys.

    See `MultiPexManager` and `PexS3Registry` in `dagster_cloud.pex.grpc.server`: the servers run in
    the copy of the tree, where Python looks first, with the installed packages on `PYTHONPATH`.
    """
    with zipfile.ZipFile(str(made).rstrip("/")) as archive:
        archive.extractall(place)
    result = run(
        [builder, "-c", LOAD], cwd=place / COPY, env={"PYTHONPATH": str(place), "PATH": "/bin"}
    )
    assert result.returncode == 0, printed(result)
    return result.stdout.strip()


def digest(made: zipfile.Path, folder: str) -> str:
    return str(json.loads((made / folder / "manifest.json").read_bytes())["digest"])


def test_a_package_in_src_is_loaded_with_the_state_that_the_hook_added(
    builder: Path, project: Path, wheels: Path, tmp_path: Path
) -> None:
    stale = project / "src" / STATE / "Inventory__stock__"
    stale.mkdir(parents=True)
    (stale / "state").write_text("old", encoding="utf-8")
    made = build(builder, project, wheels, STOCK="new")
    metadata = made / "minimal-1.0.0.dist-info/extra_metadata/defs-state/manifest.json"
    assert json.loads(metadata.read_bytes())["digest"] == digest(made, STATE)
    assert (made / COPY / "src" / STATE / "Inventory__stock__/state").read_text() == "old"
    assert load(builder, made, tmp_path / "server") == "new"


def test_a_package_in_the_root_is_loaded_from_the_copy_of_the_tree(
    builder: Path, project: Path, wheels: Path, tmp_path: Path
) -> None:
    flatten(project)
    (project / "dagster_cloud.yaml").write_text(
        next(each.text for each in blocks(PAGE) if each.name == "dagster_cloud.yaml"), "utf-8"
    )
    made = build(builder, project, wheels, STOCK="wheel")
    assert (made / STATE / "Inventory__stock__/state").read_text() == "wheel"
    assert load(builder, made, tmp_path / "without") == ""
    assert [text.split()[1] for text in findings(project) if "dagster" in text] == ["dagster-plus"]

    before, _, deploy = block(PAGE, "deploy").partition("dagster-cloud ")
    command = f'defs-state() {{ {builder} -m hatch_defs_state "$@"; }}\n'
    script = f"{command}{before}env > ../exported"
    variables = {"STOCK": "tree", "PYTHONPATH": str(ROOT)}
    shell(script, project, wheels, with_(builder, variables))
    exported = (project.parent / "exported").read_text(encoding="utf-8").splitlines()
    assert "DEFS_STATE_REFRESH=frozen" in exported
    made = build(builder, project, wheels, DEFS_STATE_REFRESH="frozen")
    refreshed = generation.read(project / STATE).manifest.digest
    assert digest(made, STATE) == digest(made, f"{COPY}/{STATE}") == refreshed
    assert load(builder, made, tmp_path / "with") == "tree"

    # The command line takes these options; it would need an account to do more.
    help_text = shell(f"dagster-cloud {deploy.strip()} --help", project, wheels, with_(builder, {}))
    assert "deploy-python-executable" in help_text
