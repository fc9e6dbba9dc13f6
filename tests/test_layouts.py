"""The state lands beside the installed components, however the project is laid out."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.commands import HATCHLING, base_environment, printed, run, run_checked
from tests.support.projects import FIXTURES, snapshot

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = "[tool.hatch.build.targets.wheel]\n"
IGNORE_ALL = ".local_defs_state/\nstate\nmanifest.json\n.*\n"


@dataclass(frozen=True)
class Arrangement:
    """A way to lay out the package of the fixture project.

    Attributes:
        folder: Where the package lies in the tree.
        toml: What `pyproject.toml` says of it.
        package: Dotted name of the package when installed.
        gitignore: Content of the root's `.gitignore`.
        extra: Files beside it, by path.
    """

    folder: str = "src/broken"
    toml: str = ""
    package: str = "broken"
    gitignore: str = IGNORE_ALL
    extra: dict[str, str] = field(default_factory=dict)


ARRANGEMENTS = {
    "src": Arrangement(),
    "flat": Arrangement("broken"),
    "no gitignore": Arrangement(gitignore=""),
    "packages": Arrangement("lib/python/broken", WHEEL + 'packages = ["lib/python/broken"]'),
    "only-include and sources": Arrangement(
        toml=WHEEL + 'only-include = ["src/broken"]\nsources = ["src"]'
    ),
    "include": Arrangement("broken", WHEEL + 'include = ["/broken/**/*.py", "/broken/**/*.yaml"]'),
    "sources strips the package's own name": Arrangement(
        "broken/broken", WHEEL + 'only-include = ["broken/broken"]\nsources = ["broken"]'
    ),
    "sources renames the package": Arrangement(
        "src/broken", WHEEL + 'packages = ["src/broken"]\nsources = {"src/broken" = "shop"}', "shop"
    ),
    "sources adds a namespace": Arrangement(
        "src/broken",
        WHEEL + 'only-include = ["src/broken"]\nsources = {"src" = "acme"}',
        "acme.broken",
    ),
    "namespace": Arrangement("src/acme/broken", WHEEL + 'packages = ["src/acme"]', "acme.broken"),
    "force-include of the package": Arrangement(
        "code/part", WHEEL + 'force-include = {"code/part" = "broken"}\ninclude = ["/nothing"]'
    ),
    "force-include of the state folder": Arrangement(
        toml=WHEEL + 'packages = ["src/broken"]\n'
        "[tool.hatch.build.targets.wheel.force-include]\n"
        '"src/broken/defs/.local_defs_state" = "broken/defs/.local_defs_state"'
    ),
    "artifacts": Arrangement(toml=WHEEL + 'artifacts = [".local_defs_state/**"]'),
    "a file from elsewhere": Arrangement(
        toml=WHEEL + 'packages = ["src/broken"]\nforce-include = {"extra.py" = "broken/extra.py"}',
        extra={"extra.py": "VALUE = 1\n"},
    ),
    "a library hidden by a file in the root": Arrangement(
        extra={"yaml.py": "raise ImportError('not the library')\n", "json.py": "1 / 0\n"}
    ),
}


def arrange(arrangement: Arrangement, folder: Path) -> Path:
    fixture = FIXTURES / "failing" / "project"
    project = folder / "project"
    package = project / arrangement.folder
    shutil.copytree(fixture / "src" / "broken", package)
    toml = (fixture / "pyproject.toml").read_text(encoding="utf-8")
    if arrangement.package != "broken":
        toml += f'defs-module = "{arrangement.package}.defs"\n'
    (project / "pyproject.toml").write_text(f"{toml}{arrangement.toml}\n", encoding="utf-8")
    declaration = f"type: {arrangement.package}.writers.Writer\n"
    (package / "defs" / "defs.yaml").write_text(declaration, encoding="utf-8")
    (project / ".gitignore").write_text(arrangement.gitignore, encoding="utf-8")
    for name, text in arrangement.extra.items():
        (project / name).write_text(text, encoding="utf-8")
    stale = package / "defs" / ".local_defs_state"
    for name in ("orders/state", "orders/old", "removed/state", "manifest.json", ".gitignore"):
        (stale / name).parent.mkdir(parents=True, exist_ok=True)
        (stale / name).write_text("stale", encoding="utf-8")
    return project


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_wheel_carries_the_new_state_alone_and_loads(name: str, tmp_path: Path) -> None:
    arrangement = ARRANGEMENTS[name]
    project = arrange(arrangement, tmp_path)
    before = snapshot(project)
    dist = tmp_path / "dist"
    command = [HATCHLING, "build", "-t", "wheel", "-d", str(dist)]
    result = run(command, cwd=project, env=base_environment())
    assert result.returncode == 0, printed(result)
    assert snapshot(project) == before

    (wheel,) = dist.iterdir()
    state = f"{arrangement.package.replace('.', '/')}/defs/.local_defs_state"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert sorted(path for path in names if ".local_defs_state" in path) == [
        f"{state}/.gitignore",
        f"{state}/manifest.json",
        f"{state}/orders/state",
    ]
    assert verify_wheel(wheel).folder == state
    shutil.rmtree(project)
    script = (
        f"from hatch_defs_state import CodeLocation\n"
        f"print(dict(CodeLocation('{arrangement.package}.defs').definitions))"
    )
    environment = base_environment() | {"PYTHONPATH": str(tmp_path / "installed")}
    loaded = run_checked([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    assert loaded.stdout == "{'orders': 'orders'}\n"


@pytest.mark.parametrize("target", ["wheel:editable", "sdist"])
def test_editable_wheels_and_source_archives_that_shall_not_carry_no_state(
    target: str, tmp_path: Path
) -> None:
    project = arrange(ARRANGEMENTS["no gitignore"], tmp_path)
    before = snapshot(project)
    dist = tmp_path / "dist"
    command = [HATCHLING, "build", "-t", target, "-d", str(dist)]
    environment = base_environment() | {"DEFS_STATE_REFRESH_IN_SDIST": "false"}
    result = run(command, cwd=project, env=environment)
    assert result.returncode == 0, printed(result)
    assert snapshot(project) == before
    (artifact,) = dist.iterdir()
    if target == "sdist":
        with tarfile.open(artifact) as archive:
            archive.extractall(tmp_path / "open", filter="data")
    else:
        shutil.unpack_archive(artifact, tmp_path / "open", "zip")
    assert not list((tmp_path / "open").rglob(".local_defs_state"))
    assert not list((tmp_path / "open").rglob("extra_metadata"))
    assert "to run" not in result.stderr


@pytest.mark.parametrize("name", ["src", "sources renames the package"])
def test_a_frozen_build_ships_the_state_of_the_tree_and_imports_nothing(
    name: str, tmp_path: Path
) -> None:
    arrangement = ARRANGEMENTS[name]
    project = arrange(arrangement, tmp_path)
    folder = project / arrangement.folder
    shutil.rmtree(folder / "defs" / ".local_defs_state")
    environment = base_environment() | {"DEFS_STATE_REFRESH": "frozen"}
    build = [HATCHLING, "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    refused = run(build, cwd=project, env=environment)
    assert refused.returncode == 1
    assert "refresh is frozen and there is no state to use" in refused.stderr

    wheel = tmp_path / "dist" / "broken-1.0.0-py3-none-any.whl"
    run_checked(build, cwd=project)
    state = f"{arrangement.package.replace('.', '/')}/defs/.local_defs_state"
    with zipfile.ZipFile(wheel) as archive:
        for path in archive.namelist():
            if path.startswith(state):
                target = folder / "defs" / ".local_defs_state" / path.removeprefix(f"{state}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(path))
    (folder / "writers.py").write_text("raise ImportError('not to be imported')\n", "utf-8")
    before = verify_wheel(wheel).manifest
    frozen = run(build, cwd=project, env=environment)
    assert frozen.returncode == 0, printed(frozen)
    assert verify_wheel(wheel).manifest == before


def test_a_frozen_build_needs_nothing_of_a_package_index(tmp_path: Path) -> None:
    project = arrange(ARRANGEMENTS["src"], tmp_path)
    toml = project / "pyproject.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text.replace('requires-python = ">=3.10"', 'dependencies = ["attrs>=23"]'), "utf-8"
    )
    script = "import hatchling.build as b; print(b.get_requires_for_build_wheel())"
    for variables, expected in (
        ({}, "['attrs>=23']\n"),
        ({"DEFS_STATE_REFRESH": "frozen"}, "[]\n"),
    ):
        environment = base_environment() | variables
        found = run_checked([sys.executable, "-c", script], cwd=project, env=environment)
        assert found.stdout == expected
