"""A source archive pins the state: what is built from it carries that, and runs nothing."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.sdist import PIN_NAME, verify_sdist
from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.commands import HATCHLING, base_environment, printed, run, run_checked
from tests.support.projects import snapshot
from tests.test_layouts import ARRANGEMENTS, WHEEL, Arrangement, arrange

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

ANYWHERE = {
    name: arrangement
    for name, arrangement in ARRANGEMENTS.items()
    if not arrangement.folder.startswith("..")
}


def build(
    target: str, project: Path, out: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run(
        [HATCHLING, "build", "-t", target, "-d", str(out)],
        cwd=project,
        env=base_environment() | variables,
    )


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.mark.parametrize("name", ANYWHERE)
def test_a_wheel_from_a_source_archive_ships_its_state_and_runs_nothing(
    name: str, tmp_path: Path
) -> None:
    arrangement = ANYWHERE[name]
    project = arrange(arrangement, tmp_path)
    before = snapshot(project)
    result = build("sdist", project, tmp_path / "dist")
    assert result.returncode == 0, printed(result)
    assert snapshot(project) == before
    sdist = tmp_path / "dist" / "broken-1.0.0.tar.gz"
    pinned = verify_sdist(sdist)
    assert list(pinned.manifest.keys) == ["orders"]
    assert f"1 state verified in {sdist.name}, digest {pinned.manifest.digest[:12]}" in (
        result.stderr
    )
    shutil.rmtree(project)

    root = unpack(sdist, tmp_path / "open")
    (root / arrangement.folder / "writers.py").write_text("raise ImportError\n", "utf-8")
    made = build("wheel", root, tmp_path / "dist", DEFS_STATE_CACHE_DIR=str(tmp_path / "none"))
    assert made.returncode == 0, printed(made)
    assert verify_wheel(tmp_path / "dist" / "broken-1.0.0-py3-none-any.whl").data == pinned.data
    assert "to run" not in made.stderr
    assert "defs-state-pin.json says which state to use: no writer runs" in made.stderr
    assert not (tmp_path / "none").exists()


@pytest.fixture
def sdist(tmp_path: Path) -> Path:
    project = arrange(Arrangement(), tmp_path)
    assert build("sdist", project, tmp_path / "dist").returncode == 0
    shutil.rmtree(project)
    return tmp_path / "dist" / "broken-1.0.0.tar.gz"


def test_it_holds_exactly_the_files_of_the_project_and_the_state(sdist: Path) -> None:
    state = "src/broken/defs/.local_defs_state"
    with tarfile.open(sdist) as archive:
        names = [name.removeprefix("broken-1.0.0/") for name in archive.getnames()]
    assert sorted(names) == [
        ".gitignore",
        "PKG-INFO",
        PIN_NAME,
        "pyproject.toml",
        "src/broken/__init__.py",
        f"{state}/.gitignore",
        f"{state}/manifest.json",
        f"{state}/orders/state",
        "src/broken/defs/__init__.py",
        "src/broken/defs/defs.yaml",
        "src/broken/writers.py",
    ]


def _edit_state(root: Path) -> None:
    (root / "src/broken/defs/.local_defs_state/orders/state").write_text("other", "utf-8")


def _remove_state(root: Path) -> None:
    shutil.rmtree(root / "src/broken/defs/.local_defs_state")


def _edit_both(root: Path) -> None:
    manifest = root / "src/broken/defs/.local_defs_state/manifest.json"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace('"project": "broken"', '"project": "other"'), "utf-8")


def _damage_pin(root: Path) -> None:
    (root / PIN_NAME).write_text("{}", "utf-8")


def _lead_outside(root: Path) -> None:
    document = json.loads((root / PIN_NAME).read_text("utf-8"))
    (root / PIN_NAME).write_text(json.dumps(document | {"folder": "../elsewhere"}), "utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_edit_state, "orders/state differs from the manifest: 5 bytes, "),
        (
            _remove_state,
            (
                "src/broken/defs/.local_defs_state has no manifest.json: no complete generation "
                "is there\n"
                "  hint: get an unaltered copy of the source archive; "
                "to build with new state, remove defs-state-pin.json"
            ),
        ),
        (
            _edit_both,
            (
                "this source archive was made with another manifest than the one in "
                "src/broken/defs/.local_defs_state\n"
                "  hint: get an unaltered copy of the source archive; "
                "to build with new state, remove defs-state-pin.json and the state folder "
                "that it names"
            ),
        ),
        (
            _damage_pin,
            "defs-state-pin.json: this does not say which state belongs to the source archive",
        ),
        (
            _lead_outside,
            "defs-state-pin.json: this does not say which state belongs to the source archive",
        ),
    ],
)
def test_a_damaged_or_edited_one_is_refused(
    damage: object, message: str, sdist: Path, tmp_path: Path
) -> None:
    root = unpack(sdist, tmp_path / "open")
    assert callable(damage)
    damage(root)
    result = build("wheel", root, tmp_path / "wheels")
    assert result.returncode == 1
    assert message in result.stderr
    assert "  hint: get an unaltered copy of the source archive; " in result.stderr
    assert not list((tmp_path / "wheels").glob("*.whl"))
    assert "Traceback" not in result.stderr


def test_without_state_the_wheel_from_it_refreshes(tmp_path: Path) -> None:
    project = arrange(Arrangement(toml=""), tmp_path)
    without: Mapping[str, str] = {"DEFS_STATE_REFRESH_IN_SDIST": "false"}
    assert build("sdist", project, tmp_path / "dist", **without).returncode == 0
    root = unpack(tmp_path / "dist" / "broken-1.0.0.tar.gz", tmp_path / "open")
    assert not (root / PIN_NAME).exists()
    result = build("wheel", root, tmp_path / "wheels")
    assert "1 writer to run" in result.stderr
    assert list(verify_wheel(next((tmp_path / "wheels").glob("*.whl"))).manifest.keys) == ["orders"]


def test_a_cache_in_the_project_is_not_packed(tmp_path: Path) -> None:
    project = arrange(Arrangement(), tmp_path)
    cache = {"DEFS_STATE_CACHE_DIR": str(project / "cache")}
    for _ in range(2):
        result = build("sdist", project, tmp_path / "dist", **cache)
        assert result.returncode == 0, printed(result)
        assert "written while the writers ran" not in result.stderr
    assert list(project.glob("cache/projects/*/record.json"))
    with tarfile.open(tmp_path / "dist" / "broken-1.0.0.tar.gz") as archive:
        assert [name for name in archive.getnames() if "cache" in name] == []


def test_an_archive_of_an_archive_has_the_same_state_or_no_pin(sdist: Path, tmp_path: Path) -> None:
    root = unpack(sdist, tmp_path / "open")
    assert build("sdist", root, tmp_path / "again").returncode == 0
    assert verify_sdist(tmp_path / "again" / sdist.name).data == verify_sdist(sdist).data
    without: Mapping[str, str] = {"DEFS_STATE_REFRESH_IN_SDIST": "false"}
    assert build("sdist", root, tmp_path / "bare", **without).returncode == 0
    bare = unpack(tmp_path / "bare" / sdist.name, tmp_path / "open-bare")
    assert not (bare / PIN_NAME).exists()
    assert "1 writer to run" in build("wheel", bare, tmp_path / "wheels").stderr


def test_one_that_leaves_out_a_declaration_is_not_made(tmp_path: Path) -> None:
    left_out = '\n[tool.hatch.build.targets.sdist]\nexclude = ["*.yaml"]\n'
    project = arrange(Arrangement(toml=WHEEL + 'packages = ["src/broken"]' + left_out), tmp_path)
    result = build("sdist", project, tmp_path / "dist")
    assert result.returncode == 1
    assert "src/broken/defs/defs.yaml is not part of the source archive" in result.stderr


def test_files_that_share_an_inode_are_whole_in_it(tmp_path: Path) -> None:
    project = arrange(Arrangement(), tmp_path)
    writers = project / "src/broken/writers.py"
    code = writers.read_text("utf-8").replace(
        'state_path.write_text(self.key, encoding="utf-8")',
        'state_path.write_text("orders"); os.link(state_path, state_path.parent / "twin")',
    )
    assert "os.link" in code
    writers.write_text(code, "utf-8")
    result = build("sdist", project, tmp_path / "dist")
    assert result.returncode == 0, printed(result)
    verified = verify_sdist(tmp_path / "dist" / "broken-1.0.0.tar.gz")
    assert sorted(verified.manifest.files) == ["orders/state", "orders/twin"]


def test_nothing_is_asked_of_a_package_index_to_build_from_it(sdist: Path, tmp_path: Path) -> None:
    root = unpack(sdist, tmp_path / "open")
    script = (
        "import os, hatchling.build as back_end\n"
        "print(back_end.get_requires_for_build_wheel(), back_end.get_requires_for_build_sdist())"
    )
    python = str(Path(HATCHLING).with_name("python"))
    asked = run_checked([python, "-c", script], cwd=root, env=base_environment())
    assert asked.stdout == "[] []\n"
    assert os.listdir(tmp_path / "dist") == [sdist.name]  # noqa: PTH208
