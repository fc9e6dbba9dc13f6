"""The setting `python` names an interpreter or an environment, and writers run there."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hatch_defs_state
from hatch_defs_state import project as projects
from hatch_defs_state.refresh.interpreters.choice import asked_for
from hatch_defs_state.refresh.interpreters.interpreter import find
from hatch_defs_state.refresh.reuse import assess
from hatch_defs_state.refresh.workspace import Workspace
from tests.support.commands import install, make_venv
from tests.support.interpreters import other_python
from tests.support.whereabouts import Whereabouts

OURS = os.path.realpath(hatch_defs_state.__file__)
HINT = (
    'make the environment before the build, or let the setting `python` be "auto", "managed", '
    '"build", or the path of one that is there, relative to the project'
)


@pytest.mark.parametrize("named", ["environment", "interpreter"])
def test_writers_run_in_the_environment_of_another_python(tmp_path: Path, named: str) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig")
    python = make_venv(project.root / ".venv", other_python())
    install(python, "iniconfig==2.0.0")
    told = project.refresh(python=".venv" if named == "environment" else ".venv/bin/python")
    assert told.errors == []
    assert told.where["prefix"] == str(project.root / ".venv")
    assert told.where["version"].split(".")[1] != str(sys.version_info.minor)
    assert told.where["distributions"] == {"iniconfig": "2.0.0"}
    assert told.where["variables"]["VIRTUAL_ENV"] == str(project.root / ".venv")
    assert told.manifest is not None
    versions = {"iniconfig": "2.0.0", "python": told.where["version"]}
    assert told.manifest.keys["where"].versions == versions


def test_our_code_comes_along_alone_and_yaml_where_it_is_missing(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "pyyaml")
    python = make_venv(project.root / ".venv")
    without = project.refresh(python=".venv")
    assert without.where["ours"] == without.where["ours in a process of its own"] == OURS
    assert Path(without.where["yaml"]).is_relative_to(project.root) is False
    assert without.where["distributions"] == {}

    install(python, "pyyaml==6.0.2")
    packages = next(project.root.glob(".venv/lib/python*/site-packages"))
    (packages / "hatch_defs_state").mkdir()
    (packages / "hatch_defs_state/__init__.py").write_text("raise RuntimeError('another one')")
    with_both = project.refresh(python=".venv")
    assert with_both.errors == []
    assert with_both.where["ours"] == with_both.where["ours in a process of its own"] == OURS
    assert Path(with_both.where["yaml"]).is_relative_to(packages)
    assert with_both.where["distributions"] == {"pyyaml": "6.0.2"}


def test_where_links_cannot_be_made_our_code_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Whereabouts.make(tmp_path / "project")
    make_venv(project.root / ".venv")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    told = project.refresh(python=".venv")
    assert told.errors == []
    assert told.where["ours"] != OURS
    assert told.where["ours"].endswith("/guest/package/hatch_defs_state/__init__.py")
    assert told.where["yaml"].endswith("/guest/fallback/yaml/__init__.py")


def test_packages_of_this_environment_do_not_get_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Whereabouts.make(tmp_path / "project")
    make_venv(project.root / ".venv")
    packages = Path(hatch_defs_state.__file__).parents[1]
    installed, sources, isolation = (tmp_path / name for name in ("packages", "src", "isolation"))
    (installed / "shadow-1.dist-info").mkdir(parents=True)
    sources.mkdir()
    isolation.mkdir()
    (isolation / "sitecustomize.py").write_text("raise SystemExit(3)", encoding="utf-8")
    paths = os.pathsep.join(map(str, (installed, sources, isolation)))
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("PYTHONHOME", sys.base_prefix)
    told = project.refresh(python=".venv")
    assert told.errors == []
    found = told.where["variables"]["PYTHONPATH"].split(os.pathsep)
    assert found[:3] == [str(project.root / "src"), str(project.root), str(sources)]
    assert [Path(path).name for path in found[3:]] == ["package"]
    assert str(packages) not in found


def test_a_link_to_the_interpreter_of_an_environment_stays_in_it(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project")
    make_venv(project.root / ".venv")
    found = find(".venv/bin/../bin/python", project.root)
    assert found.executable == str(project.root / ".venv/bin/python")
    assert found.folders == (str(next(project.root.glob(".venv/lib/python*/site-packages"))),)


def test_an_interpreter_without_environment_is_asked_what_it_is() -> None:
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    found = find(str(base), Path("/"))
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert any(folder.endswith("site-packages") for folder in found.folders)


def test_nothing_is_asked_for_where_an_environment_is_named(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python=".venv")
    assert asked_for(project.config, project.settings) == []


def test_reuse_reads_what_is_installed_without_starting_the_interpreter(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", python=".venv", refresh="reuse")
    python = make_venv(project.root / ".venv")
    assert project.refresh().ran
    content = python.resolve()
    python.unlink()
    python.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    python.chmod(0o755)
    assert not project.refresh().ran

    packages = next(project.root.glob(".venv/lib/python*/site-packages"))
    (packages / "iniconfig-2.0.0.dist-info").mkdir()
    found = projects.locate(project.config, project.settings)
    with Workspace.of(project.config) as workspace:
        interpreter = find(".venv", project.root)
        stale = assess(found, project.settings, workspace.record(), interpreter=interpreter)
    assert stale.keys == {"where": ["iniconfig is new"]}
    told = project.refresh()
    assert told.errors == ["the process that loads the project ended with exit status 3"]
    python.unlink()
    python.symlink_to(content)
    assert project.refresh().ran


def test_an_executor_s_workers_follow_the_setting(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", python=".venv")
    make_venv(project.root / ".venv")
    with ThreadPoolExecutor() as executor:
        told = project.refresh(executor)
    assert told.where["prefix"] == str(project.root / ".venv")


def broken_environment(root: Path) -> None:
    make_venv(root / ".venv")
    (root / ".venv/bin/python").unlink()
    (root / ".venv/bin/python").symlink_to(root / "gone")
    for other in (root / ".venv/bin").glob("python3*"):
        other.unlink()


def old_environment(root: Path) -> None:
    make_venv(root / ".venv")
    config = root / ".venv/pyvenv.cfg"
    version = ".".join(map(str, sys.version_info[:3]))
    config.write_text(config.read_text(encoding="utf-8").replace(version, "3.9.18"), "utf-8")
    lib = root / ".venv/lib"
    next(lib.glob("python3*")).rename(lib / "python3.9")


def no_program(root: Path) -> None:
    (root / "python").write_text("not a program", encoding="utf-8")
    (root / "python").chmod(0o755)


def another_program(root: Path) -> None:
    shutil.copy("/bin/echo", root / "echo")


def failing_program(root: Path) -> None:
    (root / "python").write_text("#!/bin/sh\necho no library >&2\nexit 7\n", encoding="utf-8")
    (root / "python").chmod(0o755)


def nothing(_root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "setting", "message"),
    [
        (nothing, ".venv", f"python: there is no interpreter at .venv\n  hint: {HINT}"),
        (
            nothing,
            "manage",
            f"python: there is no interpreter at manage; did you mean 'managed'?\n  hint: {HINT}",
        ),
        (
            nothing,
            "src",
            (
                "python: the folder src is no environment: it has no bin/python\n"
                "  hint: name an interpreter, or the folder of a virtual environment"
            ),
        ),
        (
            broken_environment,
            ".venv",
            (
                "python: the folder .venv is no environment: it has no bin/python\n"
                "  hint: name an interpreter, or the folder of a virtual environment"
            ),
        ),
        (
            old_environment,
            ".venv",
            (
                "python: .venv has Python 3.9.18, writers need 3.10 or newer\n"
                "  hint: make the environment with a newer Python"
            ),
        ),
        (
            no_program,
            "python",
            (
                "python: the interpreter python cannot be started: Exec format error\n"
                "  hint: name a Python interpreter, or the folder of a virtual environment"
            ),
        ),
        (
            nothing,
            "pyproject.toml",
            (
                "python: the interpreter pyproject.toml cannot be started: Permission denied\n"
                "  hint: name a Python interpreter, or the folder of a virtual environment"
            ),
        ),
        (
            failing_program,
            "python",
            (
                "python: the interpreter python cannot be started: it exited with status 7\n"
                "  output:\n    | no library\n"
                "  hint: name a Python interpreter, or the folder of a virtual environment"
            ),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:20],
)
def test_what_is_no_interpreter_is_refused(
    tmp_path: Path, prepare: object, setting: str, message: str
) -> None:
    project = Whereabouts.make(tmp_path / "project", python=setting)
    assert callable(prepare)
    prepare(project.root)
    assert project.refresh().errors == [message]


def test_a_program_that_is_no_python_is_refused(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", python="echo")
    another_program(project.root)
    (error,) = project.refresh().errors
    first = error.splitlines()[0]
    assert first == (
        "python: the interpreter echo cannot be started: it does not say which version it is"
    )
