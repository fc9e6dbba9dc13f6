"""In development, components that want it are refreshed when they load: all or nothing."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state import CodeLocation
from hatch_defs_state.errors import DefsStateError, ProjectError, StateError, WriterError
from tests.support.commands import base_environment, printed, run
from tests.support.locations import LOCAL, VERSIONED

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.locations import Located

    Make = Callable[..., Located]


@pytest.fixture
def project(make: Make) -> Located:
    """Two components of which one is refreshed in development, with state."""
    made = make(fresh=LOCAL, kept=f"{LOCAL},dev: false", away=VERSIONED)
    made.configure(store='"../store"')
    made.publish(fresh="f1", kept="k1")
    made.push(away="a1")
    made.plan(fresh="f2", kept="k2", away="a2")
    return made


def test_components_that_want_it_are_refreshed_and_the_others_keep_their_state(
    project: Located, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CodeLocation(project.module) as location:
        assert location.merged == {"fresh": "f1", "kept": "k1", "away": "a1"}
        assert project.runs() == []
    monkeypatch.setenv("DEFS_STATE_DEV", "1")
    with CodeLocation(project.module) as location:
        assert location.merged == {"fresh": "f2", "kept": "k1", "away": "a1"}
        assert project.runs() == ["fresh"]
        assert (project.state / "fresh" / "state").read_text() == "f2"
        project.plan(fresh="f3")
        location.reload()
        assert location.merged == {"fresh": "f3", "kept": "k1", "away": "a1"}
    with CodeLocation(project.module, dev=False) as location:
        assert location.merged == {"fresh": "f3", "kept": "k1", "away": "a1"}
    assert project.runs() == ["fresh", "fresh"]


def test_a_writer_that_fails_is_an_error_and_changes_nothing(project: Located) -> None:
    project.plan(fresh=None)
    with pytest.raises(WriterError, match=r"\[fresh\] .*the source is down"):
        CodeLocation(project.module, dev=True)
    with CodeLocation(project.module) as location:
        assert location.merged == {"fresh": "f1", "kept": "k1", "away": "a1"}


def test_what_is_not_refreshed_and_has_no_state_is_missing(make: Make) -> None:
    project = make(fresh=LOCAL, kept=f"{LOCAL},dev: false")
    project.plan(fresh="f1", kept="k1")
    with pytest.raises(StateError, match=r"\[kept\] there is no state for this component"):
        CodeLocation(project.module, dev=True)
    with CodeLocation(project.module, allow_missing="kept") as location:
        assert dict(location.definitions) == {"fresh": {"fresh": "f1"}, "kept": None}


def test_damage_of_what_is_kept_is_an_error_before_anything_is_replaced(project: Located) -> None:
    (project.state / "kept" / "state").write_text("k3")
    with pytest.raises(DefsStateError, match="kept/state differs from the manifest"):
        CodeLocation(project.module, dev=True)
    assert project.runs() == []


def test_frozen_runs_no_writer(project: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFS_STATE_REFRESH", "frozen")
    with CodeLocation(project.module, dev=True) as location:
        assert location.merged == {"fresh": "f1", "kept": "k1", "away": "a1"}
    assert project.runs() == []


def test_an_installed_package_is_not_refreshed(project: Located) -> None:
    site = project.install()
    with pytest.raises(ProjectError) as caught:
        CodeLocation(project.module, dev=True)
    assert str(caught.value) == (
        f"{project.module} is installed in {site / project.package / 'defs'}: state is refreshed "
        "in source trees only\n"
        "  hint: unset DEFS_STATE_DEV, or load the module from its source tree"
    )


def test_a_tree_that_cannot_be_written_is_an_error(
    project: Located, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatch_defs_state.location.development.os.access", lambda *_: False)
    with pytest.raises(StateError) as caught:
        CodeLocation(project.module, dev=True)
    assert str(caught.value) == (
        f"the state cannot be refreshed: {project.defs} cannot be written\n"
        "  hint: unset DEFS_STATE_DEV, or make the folder writable"
    )
    assert project.runs() == []


def test_a_project_that_loads_itself_while_it_is_imported_refreshes_once(project: Located) -> None:
    (project.root / "src" / project.package / "__init__.py").write_text(
        "import os\n"
        "if os.environ.get('LOAD') == 'yes':\n"
        "    del os.environ['LOAD']\n"
        "    from hatch_defs_state import CodeLocation\n"
        f"    location = CodeLocation({project.module!r})\n"
        "    print(location.merged)\n",
        "utf-8",
    )
    environment = base_environment() | {
        "DEFS_STATE_DEV": "1",
        "LOAD": "yes",
        "PYTHONPATH": str(project.root / "src"),
    }
    result = run([sys.executable, "-c", f"import {project.package}"], env=environment)
    assert result.stdout == "{'away': 'a1', 'fresh': 'f2', 'kept': 'k1'}\n", printed(result)
    assert project.runs() == ["fresh"]


def test_a_refresh_that_changes_nothing_leaves_the_tree_alone(
    project: Located, caplog: pytest.LogCaptureFixture
) -> None:
    CodeLocation(project.module, dev=True).close()
    before = (project.state / "manifest.json").stat().st_ino
    with caplog.at_level(logging.INFO, "hatch_defs_state.location.development"):
        CodeLocation(project.module, dev=True).close()
    assert (project.state / "manifest.json").stat().st_ino == before
    assert caplog.messages == ["refreshing fresh", "kept: reused", "fresh: unchanged"]


class TestCommand:
    def defs_state(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run([sys.executable, "-m", "hatch_defs_state", "dev", *arguments], cwd=cwd)

    def test_runs_a_command_in_the_project_and_takes_over_its_exit_status(
        self, project: Located
    ) -> None:
        script = (
            "import os, sys; print(os.environ['DEFS_STATE_DEV'], os.getcwd(), *sys.argv[1:]); "
            "sys.exit(7)"
        )
        result = self.defs_state("--", sys.executable, "-c", script, "--json", cwd=project.defs)
        assert result.stdout == f"1 {os.path.realpath(project.root)} --json\n", printed(result)
        assert result.returncode == 7

    def test_needs_a_command_where_there_is_no_dagster(self, project: Located) -> None:
        result = self.defs_state(cwd=project.root)
        assert result.returncode == 2
        assert "say what to run: `defs-state dev -- python -m shop`" in result.stderr

    def test_is_dg_dev_in_a_dagster_project(self, project: Located) -> None:
        (project.root / "dg.toml").write_text('directory_type = "project"\n[project]\n', "utf-8")
        program = project.folder / "bin" / "dg"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nimport sys; print(sys.argv[1:])\n", "utf-8")
        program.chmod(0o755)
        path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
        result = run(
            [sys.executable, "-m", "hatch_defs_state", "dev"],
            cwd=project.root,
            env=base_environment() | {"PATH": path},
        )
        assert result.stdout == "['dev']\n", printed(result)

    def test_says_when_there_is_no_such_program(self, project: Located) -> None:
        result = self.defs_state("no-such-program", cwd=project.root)
        assert result.returncode == 1
        assert result.stderr == (
            "error: there is no program 'no-such-program'\n"
            "  hint: run the command in the project's environment\n"
        )
