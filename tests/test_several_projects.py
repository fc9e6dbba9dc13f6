"""Several projects in one repository, and in one environment: each loads its own."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.codeserver import served_asset_keys
from tests.support.commands import base_environment, find_uv, run_checked
from tests.support.environments import make_environment, public_folder
from tests.support.plugin import plugin_requirement
from tests.support.projects import copy_project, with_hook

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAMES: Final = ("sales", "stock")


def lay_out(workspace: Path, name: str, plugin: str) -> None:
    """Make a project of the fixture whose component shows its state and its `project_root`."""
    copy = copy_project("dagster_minimal", workspace)
    project = copy.rename(workspace / name)
    package = (project / "src/minimal").rename(project / "src" / name)
    for file in (package / "components.py", project / "pyproject.toml"):
        text = file.read_text("utf-8").replace('"minimal"', f'"{name}"')
        text = text.replace(
            "for name in names]", "for name in [*names, Path(self.url).parent.name]]"
        )
        file.write_text(text, "utf-8")
    (package / "defs/inventory").mkdir()
    (package / "defs/inventory/defs.yaml").write_text(
        f"type: {name}.components.Inventory\nattributes:\n"
        f"  name: things_of_{name}\n"
        '  url: "{{ project_root }}/data"\n',
        "utf-8",
    )
    with_hook(project, plugin)


def test_two_projects_of_a_workspace_live_in_one_environment(tmp_path: Path) -> None:
    uv = find_uv()
    assert uv is not None
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    members = ", ".join(f'"{name}"' for name in NAMES)
    (workspace / "pyproject.toml").write_text(
        f"[tool.uv.workspace]\nmembers = [{members}]\n", "utf-8"
    )
    plugin = plugin_requirement(tmp_path)
    for name in NAMES:
        lay_out(workspace, name, plugin)
    out = tmp_path / "dist"
    environment = base_environment()
    run_checked(
        [uv, "build", "--all-packages", "--wheel", "--out-dir", out], cwd=workspace, env=environment
    )
    wheels = [out / f"{name}-1.0.0-py3-none-any.whl" for name in NAMES]
    shutil.rmtree(workspace)

    with zipfile.ZipFile(wheels[0]) as one, zipfile.ZipFile(wheels[1]) as other:
        assert set(one.namelist()) & set(other.namelist()) == {"pyproject.toml"}
    with public_folder() as public:
        installed = make_environment(public, *wheels)
        installed.make_read_only()
        for name in NAMES:
            keys = served_asset_keys(installed, f"{name}.definitions", {})
            assert keys == {f"things_of_{name}", name}
