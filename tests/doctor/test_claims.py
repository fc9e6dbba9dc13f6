"""What doctor claims, shown by the tools themselves: it happens, and the said line ends it."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.commands import (
    HATCHLING,
    base_environment,
    find_uv,
    printed,
    run,
    run_checked,
)
from tests.support.doctored import findings
from tests.support.pages import block
from tests.support.plugin import plugin_wheel
from tests.support.projects import copy_project
from tests.test_cli import defs_state

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

STATE = "warehouse/defs/.local_defs_state"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The quickstart project, in a repository of its own."""
    project = copy_project("quickstart", tmp_path)
    (project / ".git").mkdir()
    return project


def append(project: Path, text: str) -> None:
    file = project / "pyproject.toml"
    file.write_text(f"{file.read_text(encoding='utf-8').rstrip()}\n{text}\n", encoding="utf-8")


def remove(project: Path, text: str) -> None:
    file = project / "pyproject.toml"
    content = file.read_text(encoding="utf-8")
    assert content.count(text) == 1
    file.write_text(content.replace(text, ""), encoding="utf-8")


def build(project: Path, **variables: str) -> CompletedProcess[str]:
    shutil.rmtree(project / "dist", ignore_errors=True)
    command = [HATCHLING, "build", "-t", "wheel"]
    return run(command, cwd=project, env=base_environment() | variables)


def names(project: Path) -> list[str]:
    (wheel,) = (project / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def of(project: Path, code: str) -> list[str]:
    return [text for text in findings(project) if text.split()[1] == code]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sync", "requirements"])
def test_uv_installs_old_state_from_its_cache_without_the_line(
    way: str, project: Path, tmp_path: Path
) -> None:
    uv = find_uv()
    if uv is None:
        pytest.skip("there is no uv")
    (project / "requirements.txt").write_text(".\n", encoding="utf-8")
    environment = base_environment() | {
        "UV_FIND_LINKS": str(plugin_wheel(tmp_path)),
        "UV_PROJECT_ENVIRONMENT": ".venv",
        "VIRTUAL_ENV": str(project / ".venv"),
    }
    run_checked(
        [uv, "venv", "-q", "--python", sys.executable, ".venv"], cwd=project, env=environment
    )
    commands = {
        "sync": [uv, "sync", "-q", "--python", sys.executable, "--no-editable"],
        "requirements": [uv, "pip", "install", "-q", "-r", "requirements.txt"],
    }

    def install_with(table: str) -> bool:
        """Install after the database has got another table; whether that is in the state."""
        with sqlite3.connect(project / "data" / "warehouse.sqlite") as database:
            database.execute(f"CREATE TABLE {table} (a INTEGER)")
        database.close()
        run_checked(commands[way], cwd=project, env=environment)
        (state,) = (project / ".venv").glob(f"lib/*/site-packages/{STATE}/*/state")
        return table in state.read_text(encoding="utf-8")

    assert install_with("first")
    assert not install_with("second")
    (found,) = of(project, "uv-cache")
    assert found.endswith(
        'add reinstall-package = ["warehouse"] to pyproject.toml, below a new line [tool.uv]'
    )
    before = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert '[tool.uv]\nreinstall-package = ["warehouse"]' in block("uv.md", "reinstall")
    append(project, block("uv.md", "reinstall"))
    assert of(project, "uv-cache") == []
    assert install_with("third")
    assert install_with("fourth")

    (project / "pyproject.toml").write_text(before, encoding="utf-8")
    append(project, block("uv.md", "cache-keys"))
    assert of(project, "uv-cache") == []
    environment["DEFS_STATE_BUILD_ID"] = "1"
    assert install_with("fifth")
    environment["DEFS_STATE_BUILD_ID"] = "2"
    assert install_with("sixth")


def test_a_targets_table_hides_the_global_one(project: Path) -> None:
    append(project, 'refresh = "frozen"')
    table = "[tool.hatch.build.targets.wheel.hooks.defs-state]"
    append(project, f"{table}\njobs = 2")
    assert len(of(project, "hook-table")) == 1
    result = build(project)
    assert result.returncode == 0, printed(result)
    assert "1 writer to run" in result.stderr
    remove(project, table)
    assert of(project, "hook-table") == []
    result = build(project)
    assert result.returncode == 1
    assert "refresh is frozen and there is no state to use" in result.stderr


@pytest.mark.parametrize("off", ["enable-by-default", "HATCH_BUILD_NO_HOOKS"])
def test_a_hook_that_is_off_leaves_wheels_without_state(
    off: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {}
    if off == "enable-by-default":
        append(project, "enable-by-default = false")
    else:
        variables = {off: "1"}
        monkeypatch.setenv(off, "1")
    assert len(of(project, "hook-table")) == 1
    assert build(project, **variables).returncode == 0
    assert not [name for name in names(project) if STATE in name]


def test_a_folder_that_is_forced_and_selected_ends_the_build(project: Path) -> None:
    entry = '"src/warehouse/defs" = "warehouse/defs"'
    append(project, f"[tool.hatch.build.targets.wheel.force-include]\n{entry}")
    (found,) = of(project, "force-include")
    assert f"remove {entry};" in found
    result = build(project)
    assert result.returncode == 1
    assert "A second file is being added to the wheel archive at the same path" in result.stderr
    remove(project, entry)
    assert of(project, "force-include") == []
    assert build(project).returncode == 0
    assert f"{STATE}/manifest.json" in names(project)
    assert "warehouse/defs/catalog/defs.yaml" in names(project)


def test_without_the_hook_a_gitignore_keeps_state_out(project: Path) -> None:
    assert defs_state(project, "refresh").returncode == 0
    (project / ".gitignore").write_text("# made\n\nstate\n", encoding="utf-8")
    table = "[tool.hatch.build.hooks.defs-state]"
    remove(project, table)
    (found,) = of(project, "gitignore")
    assert found.startswith("problem gitignore .gitignore:3: state hides src/warehouse/defs/")
    assert build(project).returncode == 0
    assert [name for name in names(project) if STATE in name] == [
        f"{STATE}/.gitignore",
        f"{STATE}/manifest.json",
    ]
    append(project, table)
    assert of(project, "gitignore") == []
    assert build(project).returncode == 0
    (wheel,) = (project / "dist").iterdir()
    assert len(verify_wheel(wheel).manifest.keys) == 1
