"""The interpreter of the writers in isolated builds, by front ends that differ in what they do."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import CACHE_VARIABLE, base_environment, make_venv, run_checked
from tests.support.frontends import build_wheel, kept_environment
from tests.support.interpreters import other_python
from tests.support.plugin import plugin_requirement
from tests.support.projects import with_hook
from tests.support.whereabouts import Whereabouts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

FELL_BACK = (
    "iniconfig<2 is not installed here and there is no lock: writers run in an environment made "
    "from the project's metadata (Hatch 1.16 to 1.18.1, and pex's wrapper of back ends, do not "
    "install what the hook asks for)"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


def where(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        content: dict[str, Any] = json.loads(
            archive.read("where/defs/.local_defs_state/where/state")
        )
    return content


@pytest.mark.parametrize(("version", "falls_back"), [("1.16.5", True), ("1.18.2", False)])
def test_a_hatch_that_installs_nothing_for_hooks_gets_a_managed_environment_and_is_told(
    tmp_path: Path, cache: Path, version: str, falls_back: bool
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    with_hook(project.root, plugin_requirement(tmp_path))
    hatch = kept_environment(f"hatch=={version}").with_name("hatch")
    variables = base_environment() | {"HATCH_DATA_DIR": str(tmp_path / "hatch")}
    built = run_checked([hatch, "build", "-t", "wheel"], cwd=project.root, env=variables)
    found = where(project.root / "dist" / "where-1-py3-none-any.whl")
    assert found["distributions"]["iniconfig"] == "1.1.1"
    assert (FELL_BACK in built.stderr) == falls_back
    assert cache.exists() == falls_back
    assert ("hatchling" in found["distributions"]) != falls_back


def test_pip_s_isolated_build_has_what_the_hook_asks_for(tmp_path: Path, cache: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    with_hook(project.root, plugin_requirement(tmp_path))
    pip = kept_environment("pip==26.3")
    options = ("--no-deps", "--wheel-dir", tmp_path / "dist")
    run_checked([pip, "-m", "pip", "wheel", *options, project.root])
    found = where(tmp_path / "dist" / "where-1-py3-none-any.whl")
    assert found["distributions"]["iniconfig"] == "1.1.1"
    assert {"hatchling", "hatch-defs-state"} <= found["distributions"].keys()
    assert not cache.exists()


def test_with_a_lock_an_isolated_build_installs_nothing_and_takes_what_is_locked(
    tmp_path: Path, cache: Path
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    project.lock()
    with_hook(project.root, plugin_requirement(tmp_path))
    built = build_wheel(project.root, tmp_path / "dist")
    found = where(built.expect_wheel())
    (place,) = (path for path in cache.iterdir() if path.is_dir())
    assert found["prefix"] == str(place)
    assert found["distributions"] == {"iniconfig": "1.1.1"}
    assert "  - iniconfig" not in built.output


def test_an_isolated_build_runs_writers_in_the_project_s_environment_of_another_python(
    tmp_path: Path, cache: Path
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    make_venv(project.root / ".venv", other_python())
    with_hook(project.root, plugin_requirement(tmp_path), python=".venv")
    found = where(build_wheel(project.root, tmp_path / "dist").expect_wheel())
    assert found["prefix"] == str(project.root / ".venv")
    assert found["distributions"] == {}
    assert not cache.exists()
