"""The `defs-state` command: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation
from tests.support.commands import HATCHLING, base_environment, printed, run, run_checked
from tests.support.projects import FIXTURES, copy_project, snapshot

if TYPE_CHECKING:
    from subprocess import CompletedProcess

DEFS_STATE = str(Path(sysconfig.get_path("scripts"), "defs-state"))
DEFS = "src/broken/defs"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The quickstart project, in a tree of its own."""
    return copy_project("quickstart", tmp_path)


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """A project whose second writer raises."""
    project = Path(shutil.copytree(FIXTURES / "failing" / "project", tmp_path / "broken"))
    declarations = FIXTURES / "failing" / "one-writer-of-two-raises.yaml"
    shutil.copyfile(declarations, project / DEFS / "defs.yaml")
    return project


def defs_state(folder: Path, *arguments: str | Path, **variables: str) -> CompletedProcess[str]:
    return run([DEFS_STATE, *arguments], cwd=folder, env=base_environment() | variables)


def test_list_shows_components_in_a_table(project: Path) -> None:
    before = snapshot(project)
    result = defs_state(project / "src", "list")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "KEY                       TYPE                                "
        "MANAGEMENT TYPE   DECLARED IN\n"
        "SqliteCatalog[warehouse]  warehouse.components.SqliteCatalog  "
        "LOCAL_FILESYSTEM  src/warehouse/defs/catalog/defs.yaml:1\n"
    )
    assert snapshot(project) == before


def test_refresh_writes_a_sealed_generation_that_git_ignores(project: Path) -> None:
    run_checked(["git", "init", "--quiet"], cwd=project)
    run_checked(["git", "add", "."], cwd=project)
    result = defs_state(project.parent, "refresh", "--project", "quickstart", "--json")
    assert result.returncode == 0, result.stderr
    folder = project / "src/warehouse/defs/.local_defs_state"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    document = json.loads(result.stdout)
    assert (document["status"], document["digest"]) == ("published", manifest["digest"])
    assert document["path"] == "src/warehouse/defs/.local_defs_state"
    assert document["keys"]["SqliteCatalog[warehouse]"]["outcome"] == "refreshed"
    assert generation.read(folder).manifest.digest == manifest["digest"]
    assert manifest["keys"]["SqliteCatalog[warehouse]"]["source"] == {
        "file": "src/warehouse/defs/catalog/defs.yaml",
        "line": 1,
    }
    status = run_checked(["git", "status", "--porcelain"], cwd=project).stdout
    assert not [line for line in status.splitlines() if not line.startswith("A ")]


def test_a_failed_refresh_changes_nothing(failing: Path) -> None:
    assert defs_state(failing, "refresh").returncode == 1
    declarations = failing / DEFS / "defs.yaml"
    whole = declarations.read_text(encoding="utf-8")
    declarations.write_text(whole.partition("---")[0], encoding="utf-8")
    assert defs_state(failing, "refresh").returncode == 0
    declarations.write_text(whole.replace("customers", "clients"), encoding="utf-8")
    before = snapshot(failing)
    result = defs_state(failing, "refresh")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "error: src/broken/defs/defs.yaml:5: [orders] the writer of" in result.stderr
    assert "Traceback" not in result.stderr
    assert snapshot(failing) == before


def test_retries_run_a_failed_writer_again_and_say_so(failing: Path) -> None:
    result = defs_state(failing, "refresh", "--retries", "1")
    assert result.returncode == 1
    assert "orders: failed, runs again in" in result.stderr


def test_verify_shows_what_a_wheel_carries(project: Path) -> None:
    run_checked([HATCHLING, "build", "-t", "wheel"], cwd=project)
    wheel = "dist/warehouse-1.0.0-py3-none-any.whl"
    result = defs_state(project, "verify", wheel)
    assert result.returncode == 0, result.stderr
    heading, row, total = result.stdout.splitlines()
    assert heading.split("  ")[0] == "KEY"
    assert row.startswith("SqliteCatalog[warehouse]  1      843 B")
    assert total.startswith("warehouse-1.0.0-py3-none-any.whl: 1 state verified, digest ")
    assert json.loads(defs_state(project, "verify", wheel, "--json").stdout)["schema"] == 1


def test_verify_takes_all_that_was_built_and_names_each_that_is_damaged(project: Path) -> None:
    run_checked([HATCHLING, "build", "-t", "sdist", "-t", "wheel"], cwd=project)
    wheel, sdist = sorted((project / "dist").iterdir())
    result = defs_state(project, "verify", wheel, sdist)
    ends = [line for line in result.stdout.splitlines() if "verified" in line]
    assert [line.partition(":")[0] for line in ends] == [wheel.name, sdist.name]
    assert len({line.rpartition(" ")[2] for line in ends}) == 1
    document = json.loads(defs_state(project, "verify", wheel, sdist, "--json").stdout)
    assert [state["artifact"] for state in document["states"]] == [wheel.name, sdist.name]

    wheel.write_bytes(b"damaged")
    missing = project / "dist" / "none.whl"
    result = defs_state(project, "verify", wheel, missing, sdist)
    assert result.returncode == 1
    assert f"error: {wheel} is no readable wheel: File is not a zip file" in result.stderr
    assert f"error: {missing} does not exist" in result.stderr
    assert f"{sdist.name}: 1 state verified" in result.stdout


def test_wrong_usage_ends_with_status_2(project: Path) -> None:
    for arguments in (["refrsh"], ["refresh", "--jbos", "1"], ["verify"], ["list", "surplus"]):
        result = defs_state(project, *arguments)
        assert result.returncode == 2, arguments
        assert "Traceback" not in result.stderr
        assert "Error: " in result.stderr


def test_a_wrong_option_value_is_named_as_it_was_given(project: Path) -> None:
    variable = "environment: DEFS_STATE_JOBS: expected a whole number of at least 1, got '0'"
    option = '--timeout: expected a duration such as "90s", "10m" or "24h", got \'ten\''
    result = defs_state(project, "refresh", DEFS_STATE_JOBS="0")
    assert (result.returncode, result.stderr) == (1, f"error: {variable}\n")
    result = defs_state(project, "refresh", "--timeout", "ten", DEFS_STATE_JOBS="0")
    assert (result.returncode, result.stderr) == (2, f"error: {variable}\nerror: {option}\n")


def test_outside_of_a_project_the_command_says_so(tmp_path: Path) -> None:
    result = defs_state(tmp_path, "list")
    assert result.returncode == 1
    assert result.stderr == (
        f"error: no pyproject.toml or dg.toml in {tmp_path} or above it\n"
        "  hint: run the command in a project, or name one with --project\n"
    )


def test_help_has_examples_and_exit_status(project: Path) -> None:
    overview = defs_state(project, "-h").stdout
    assert "Exit status: 0 done, 1 failed, 2 wrong usage, 3 different" in overview
    assert "\n    defs-state refresh\n" in overview.partition("Examples:")[2]
    for command in ("doctor", "explain", "list", "pex", "refresh", "verify"):
        result = defs_state(project, command, "--help")
        assert f"\n    defs-state {command}" in result.stdout.partition("Examples:")[2]


def on_terminal(folder: Path, *arguments: str, **variables: str) -> str:
    import pty

    ours, theirs = pty.openpty()
    environment = base_environment() | {"TERM": "xterm"} | variables
    try:
        subprocess.run(
            [DEFS_STATE, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            check=False,
        )
        return os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_colours_are_for_terminals_and_no_color_is_respected(project: Path) -> None:
    elsewhere = project.parent
    for folder, words in ((project, "DECLARED IN"), (elsewhere, "error:")):
        assert "\x1b[" in on_terminal(folder, "list")
        without = on_terminal(folder, "list", NO_COLOR="1")
        assert words in without
        assert "\x1b" not in without
        assert "\x1b" not in printed(defs_state(folder, "list"))
        assert "\x1b[" in printed(defs_state(folder, "list", FORCE_COLOR="1"))


def test_a_misspelt_command_gets_a_suggestion(project: Path) -> None:
    for arguments, meant in ((["refrsh"], "refresh"), (["store", "rolback"], "rollback")):
        result = defs_state(project, *arguments)
        assert result.returncode == 2
        assert result.stderr.endswith(
            f"Error: No such command '{arguments[-1]}'. Did you mean '{meant}'?\n"
        )


def test_a_state_folder_of_someone_else_is_replaced(project: Path) -> None:
    stale = project / "src/warehouse/defs/.local_defs_state"
    (stale / "removed").mkdir(parents=True)
    (stale / "removed" / "state").write_text("old", encoding="utf-8")
    assert defs_state(project, "refresh").returncode == 0
    assert sorted(path.name for path in stale.iterdir()) == [
        ".gitignore",
        "SqliteCatalog__warehouse__",
        "manifest.json",
    ]
