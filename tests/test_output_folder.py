"""`defs-state refresh --output DIR`: a generation in a folder, and the tree untouched."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.cli.output_folder import OutputFolder
from hatch_defs_state.errors import StateError
from hatch_defs_state.project import discover, locate
from hatch_defs_state.settings.model import Settings
from hatch_defs_state.storage import generation
from tests.support.commands import base_environment, run
from tests.support.projects import copy_project, snapshot
from tests.test_cli import DEFS_STATE, defs_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

STATE = "src/warehouse/defs/.local_defs_state"
KEY_FOLDER = "SqliteCatalog__warehouse__"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The quickstart project, in a tree of its own."""
    return copy_project("quickstart", tmp_path)


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than pytest's."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def refresh_to(output: Path | str, project: Path, **variables: str) -> CompletedProcess[str]:
    """Refresh from the folder above the project."""
    arguments = ["refresh", "--project", project.name, "--output", str(output)]
    return defs_state(project.parent, *arguments, **variables)


def test_the_folder_is_what_the_state_folder_would_be_and_the_tree_stays(project: Path) -> None:
    before = snapshot(project)
    result = refresh_to("out/state", project)
    assert result.returncode == 0, result.stderr
    assert snapshot(project) == before
    output = project.parent / "out" / "state"
    made = generation.read(output)
    assert result.stderr.splitlines()[-1].endswith(
        f"1 state in {output}, digest {made.manifest.digest[:12]}"
    )
    assert [path.name for path in output.parent.iterdir()] == ["state"]
    assert defs_state(project, "refresh").returncode == 0
    assert snapshot(output) == snapshot(project / STATE)
    assert sorted(snapshot(output)) == [
        ".gitignore",
        KEY_FOLDER,
        f"{KEY_FOLDER}/state",
        "manifest.json",
    ]


def test_a_copy_of_the_folder_at_its_place_is_what_a_frozen_build_uses(project: Path) -> None:
    assert refresh_to("state", project).returncode == 0
    shutil.copytree(project.parent / "state", project / STATE)
    frozen = defs_state(project, "refresh", "--refresh", "frozen")
    assert frozen.returncode == 0, frozen.stderr


def test_the_document_says_where_the_state_is(project: Path) -> None:
    arguments = ["refresh", "--json", "--output"]
    inside = json.loads(defs_state(project, *arguments, "build/state").stdout)
    assert inside["path"] == "build/state"
    manifest = generation.read(project / "build" / "state").manifest
    assert (inside["status"], inside["digest"]) == ("published", manifest.digest)
    outside = json.loads(defs_state(project, *arguments, "../state").stdout)
    assert outside["path"] == str(project.parent / "state")
    assert outside["digest"] == manifest.digest


def test_a_later_refresh_replaces_the_whole_folder(project: Path) -> None:
    output = project.parent / "state"
    for _ in range(2):
        assert refresh_to(output, project).returncode == 0
        assert [path.name for path in output.parent.glob("state*")] == ["state"]
        (output / KEY_FOLDER / "state").write_text("altered", encoding="utf-8")
        (output / KEY_FOLDER / "more").write_text("more", encoding="utf-8")
    assert refresh_to(output, project).returncode == 0
    assert generation.read(output).manifest.project == "warehouse"


def test_an_empty_folder_is_taken(project: Path) -> None:
    output = project.parent / "declared"
    output.mkdir()
    assert refresh_to(output, project).returncode == 0
    assert generation.is_whole(output)


def test_another_file_system_is_as_good(project: Path, other_disk: Path) -> None:
    output = other_disk / "deep" / "state"
    for _ in range(2):
        assert refresh_to(output, project).returncode == 0
        assert generation.is_whole(output)
        assert [path.name for path in output.parent.iterdir()] == ["state"]


def test_what_lies_beside_the_folder_is_left_alone(project: Path) -> None:
    output = project.parent / "state"
    for name in ("state.old", "state.new", "state.copy"):
        (project.parent / name).mkdir()
        (project.parent / name / "mine").write_text("mine", encoding="utf-8")
    for _ in range(2):
        assert refresh_to(output, project).returncode == 0
    assert sorted(path.name for path in project.parent.glob("state*/mine")) == ["mine"] * 3


def test_what_a_crash_left_beside_the_folder_is_removed(project: Path) -> None:
    output = project.parent / "state"
    (generation.beside(output, "new") / KEY_FOLDER).mkdir(parents=True)
    assert refresh_to(output, project).returncode == 0
    assert [path.name for path in project.parent.glob("state*")] == ["state"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(project: Path) -> None:
    output = project.parent / "state"
    output.mkdir()
    link = project.parent / "link"
    link.symlink_to(output)
    assert refresh_to(link, project).returncode == 0
    assert link.is_symlink()
    assert generation.is_whole(output)


@pytest.mark.parametrize("ours", [False, True])
def test_a_folder_with_other_things_is_refused_before_a_writer_runs(
    ours: bool, project: Path
) -> None:
    output = project.parent / "out"
    if ours:
        assert refresh_to(output, project).returncode == 0
    output.mkdir(exist_ok=True)
    (output / "README.md").write_text("mine", encoding="utf-8")
    before = snapshot(output)
    result = refresh_to("out", project)
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {output} cannot be the output: it would be replaced as a whole, "
        "and README.md in it is not state\n"
        "  hint: name an empty folder, or one that does not exist yet\n"
    )
    assert snapshot(output) == before


def test_a_file_is_refused(project: Path) -> None:
    (project.parent / "out").write_text("mine", encoding="utf-8")
    result = refresh_to("out", project)
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {project.parent / 'out'} cannot be the output: it is not a folder\n"
        "  hint: name a folder, or one that does not exist yet\n"
    )


@pytest.mark.parametrize(
    ("output", "relation"), [(f"{STATE}/orders", "lies in"), ("src/warehouse", "holds")]
)
def test_a_folder_in_or_around_the_projects_state_is_refused(
    output: str, relation: str, project: Path
) -> None:
    result = defs_state(project, "refresh", "--output", output)
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {project / output} cannot be the output: it {relation} the project's state\n"
        "  hint: name a folder beside it, such as --output state\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_mounted_folder_is_refused_with_a_folder_that_would_do(project: Path) -> None:
    output = project.parent / "mounted"
    output.mkdir()
    # In a mount namespace of its own, so that nothing stays mounted.
    script = (
        f"mount -t tmpfs none {output} && exec {DEFS_STATE} refresh --output {output} "
        f"--project {project}"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    probe = run(["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {output}"])
    if probe.returncode:
        pytest.skip("nothing can be mounted here")
    result = run(command, env=base_environment())
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {output} cannot be the output: a mounted folder cannot be exchanged\n"
        f"  hint: name a folder in it, such as --output {output / 'state'}\n"
    )


def test_frozen_copies_the_verified_state_of_the_tree(project: Path) -> None:
    assert defs_state(project, "refresh").returncode == 0
    before = snapshot(project)
    (project / "src/warehouse/components.py").write_text("raise ImportError\n", encoding="utf-8")
    result = refresh_to("state", project, DEFS_STATE_REFRESH="frozen")
    assert result.returncode == 0, result.stderr
    output = project.parent / "state"
    assert snapshot(output) == snapshot(project / STATE)
    assert {name: facts for name, facts in snapshot(project).items() if STATE in name} == {
        name: facts for name, facts in before.items() if STATE in name
    }

    (project / STATE / KEY_FOLDER / "state").write_text("altered", encoding="utf-8")
    good = snapshot(output)
    result = refresh_to("state", project, DEFS_STATE_REFRESH="frozen")
    assert result.returncode == 1
    assert f"{KEY_FOLDER}/state differs from the manifest" in result.stderr
    assert snapshot(output) == good


def test_a_failing_refresh_leaves_the_folder_as_it_was(project: Path) -> None:
    assert refresh_to("state", project).returncode == 0
    before = snapshot(project.parent / "state")
    (project / "data" / "warehouse.sqlite").unlink()
    assert refresh_to("state", project).returncode == 1
    assert snapshot(project.parent / "state") == before


@pytest.mark.skipif(not Path("/proc").is_mount(), reason="there is no folder known to be mounted")
def test_a_mount_point_is_recognised_where_nothing_can_be_mounted(tmp_path: Path) -> None:
    project = locate(discover(copy_project("quickstart", tmp_path)), Settings())
    with pytest.raises(StateError, match="a mounted folder cannot be exchanged"):
        OutputFolder.of(Path("/proc"), project).prepare()
