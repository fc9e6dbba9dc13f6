"""`auto`: this environment where it has what the project requires, else one that has."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.refresh.events import ignore
from hatch_defs_state.refresh.interpreters.choice import asked_for
from hatch_defs_state.refresh.interpreters.satisfied import first_missing
from tests.support.commands import CACHE_VARIABLE
from tests.support.whereabouts import Whereabouts

if TYPE_CHECKING:
    from pathlib import Path

MISSING = (
    "iniconfig<2 is not installed here and there is no lock: writers run in an environment made "
    "from the project's metadata (Hatch 1.16 to 1.18.1, and pex's wrapper of back ends, do not "
    "install what the hook asks for)"
)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with three distributions that require one another."""
    folder = tmp_path / "packages"
    described = {
        "alpha-1.5": ['beta>=2; python_version >= "3"', 'gamma; extra == "more"', "alpha[more]"],
        "beta-2.1rc1": ['nowhere; sys_platform == "plan9"'],
        "gamma-3": ['missing>=1; extra == "rest"'],
    }
    for name, requires in described.items():
        info = folder / f"{name}.dist-info"
        info.mkdir(parents=True)
        fields = [f"Requires-Dist: {each}" for each in requires]
        text = "\n".join(["Metadata-Version: 2.4", *fields, "", "Requires-Dist: no-field"])
        (info / "METADATA").write_text(text, encoding="utf-8")
    origin = {
        "url": "https://git.example/gamma",
        "vcs_info": {"vcs": "git", "requested_revision": "v3"},
    }
    (folder / "gamma-3.dist-info" / "direct_url.json").write_text(json.dumps(origin), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("requirements", "missing"),
    [
        ([], None),
        (["alpha"], None),
        (["Alpha==1.*", "beta"], None),
        (["alpha>=2"], "alpha>=2"),
        (["alpha", "delta"], "delta"),
        (["delta; python_version < '3'"], None),
        (["alpha[more]"], None),
        (["gamma[rest]"], "missing>=1"),
        (["gamma @ git+https://token@git.example/gamma@v3"], None),
        (["gamma @ git+https://git.example/gamma@v4"], "gamma @ git+https://git.example/gamma@v4"),
        (["alpha @ https://files.example/a.whl"], "alpha @ https://files.example/a.whl"),
        (["no requirement"], "no requirement"),
    ],
)
def test_what_is_missing_is_found_through_all_requirements(
    packages: Path, requirements: list[str], missing: str | None
) -> None:
    assert first_missing(requirements, [str(packages)]) == missing


def test_what_is_installed_here_is_found() -> None:
    assert first_missing(["hatch-defs-state", "pytest>=8", "mypy"]) is None


def test_without_requirements_this_interpreter_runs_writers_and_nothing_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locks", "satisfied", "managed", "wanted"):
        monkeypatch.setitem(sys.modules, f"hatch_defs_state.refresh.interpreters.{name}", None)
    from hatch_defs_state.refresh.interpreters.choice import chosen

    project = Whereabouts.make(tmp_path / "project")
    assert asked_for(project.config, project.settings) == []
    with chosen(project.config, project.settings, ignore) as interpreter:
        assert interpreter.is_current


def test_this_environment_runs_writers_where_it_has_what_they_need(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", features=("fast",))
    project.lock()
    # They are installed already, so that to ask for them changes nothing.
    assert asked_for(project.config, project.settings) == ["iniconfig", "pluggy>=1"]
    told = project.refresh()
    assert told.notices == []
    assert told.where["prefix"] == sys.prefix
    assert told.manifest is not None
    assert told.manifest.keys["where"].versions == {
        "iniconfig": version("iniconfig"),
        "pluggy": version("pluggy"),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def test_a_lock_decides_where_this_environment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    project.lock()
    assert asked_for(project.config, project.settings) == []
    told = project.refresh()
    assert told.notices[0] == "making an environment for the writers from uv.lock with uv"
    assert told.warnings == []
    assert told.where["distributions"] == {"iniconfig": "1.1.1"}


def test_without_a_lock_what_is_missing_is_asked_for_and_a_front_end_that_ignores_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    assert asked_for(project.config, project.settings) == ["iniconfig<2"]
    told = project.refresh()
    assert told.errors == []
    assert told.warnings == [MISSING]
    assert told.where["distributions"] == {"iniconfig": "1.1.1"}


def test_frozen_asks_for_nothing(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2", refresh="frozen")
    assert asked_for(project.config, project.settings) == []


def test_the_build_environment_is_completed_and_used_as_it_is(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2", python="build")
    project.lock()
    assert asked_for(project.config, project.settings) == ["iniconfig<2"]
    told = project.refresh()
    assert told.where["prefix"] == sys.prefix
    iniconfig = version("iniconfig")
    assert told.warnings == [f"iniconfig {iniconfig} wrote the state, uv.lock has 1.1.1"]


@pytest.mark.parametrize("python", ["auto", "managed"])
def test_a_feature_that_does_not_exist_is_an_error(tmp_path: Path, python: str) -> None:
    project = Whereabouts.make(tmp_path / "project", python=python, features=("slow",))
    assert project.refresh().errors == ["the project has no feature 'slow'\n  hint: it has: fast"]
    if python == "auto":
        with pytest.raises(SettingsError, match="no feature 'slow'"):
            asked_for(project.config, project.settings)
