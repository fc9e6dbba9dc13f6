"""The pages on Pants and Bazel.

Pants runs for real, at the last version that the package index has, 2.17, which needs Python 3.9.
Of it, `pex_binary` is not tried, since Pants fetches pex from GitHub. Bazel is on no package index:
the command of the `genrule` runs in a shell, on a folder of links as Bazel's sandbox is.
"""

from __future__ import annotations

import ast
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation
from tests.support.commands import find_uv, run
from tests.support.frontends import kept_environment
from tests.support.pages import STATE, block, blocks, secret, shell, write
from tests.test_cli import DEFS_STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

PANTS = ("pantsbuild.pants==2.17.1", "setuptools<70")


def python_for_pants() -> str | None:
    """Return the path of a Python 3.9, of the system's or of pyenv's."""
    uv = find_uv()
    found = run([uv, "python", "find", "--no-project", "3.9"]) if uv else None
    if found is not None and found.returncode == 0:
        return found.stdout.strip()
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    return next((str(path) for path in kept.glob("3.9.*/bin/python3.9")), None)


@pytest.mark.slow
def test_pants_hands_on_new_state(project: Path, wheels: Path, tmp_path: Path) -> None:
    python = python_for_pants()
    if python is None:
        pytest.skip("there is no Python 3.9")
    pants = kept_environment(*PANTS, python=python).with_name("pants")
    write("pants.md", project, "pants.toml", "BUILD")
    build = project / "BUILD"
    text = build.read_text(encoding="utf-8")
    absolute = text.replace('".venv/bin"', f'"{Path(DEFS_STATE).parent}"')
    assert absolute != text
    build.write_text(absolute, encoding="utf-8")
    (command,) = (each.text for each in blocks("pants.md") if " pants package " in each.text)
    environment = secret(project) | {
        "PATH": os.pathsep.join([str(pants.parent), os.defpath]),
        "PANTS_PANTSD": "false",
        "PANTS_LOCAL_STORE_DIR": str(tmp_path / "store"),
        "PANTS_NAMED_CACHES_DIR": str(tmp_path / "caches"),
    }
    output = shell(command, project, wheels, environment)
    assert "Completed: Running the `adhoc_tool` at //:state" in output
    with zipfile.ZipFile(project / "dist" / "warehouse.zip") as archive:
        archive.extractall(tmp_path / "open")
    state = generation.read(tmp_path / "open" / STATE)
    assert list(state.manifest.keys) == ["SqliteCatalog[warehouse]"]
    assert (tmp_path / "open" / "src/warehouse/components.py").exists()
    assert not (project / STATE).exists()


def keywords(source: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield the keywords of the first call in a build file."""
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    for keyword in statement.value.keywords:
        assert keyword.arg is not None
        yield keyword.arg, keyword.value


def test_bazels_command_makes_the_declared_output(
    project: Path, wheels: Path, tmp_path: Path
) -> None:
    rule = dict(keywords(block("bazel.md", "BUILD.bazel")))
    (output,) = ast.literal_eval(rule["outs"])
    command = ast.literal_eval(rule["cmd"])
    sandbox = tmp_path / "sandbox"
    shutil.copytree(project, sandbox, copy_function=os.symlink, symlinks=True)
    (sandbox / "bin").mkdir()
    for name, value in {
        "$@": f"bin/{output}",
        "$(location pyproject.toml)": "pyproject.toml",
    }.items():
        assert name in command
        command = command.replace(name, value)
    assert "$(" not in command.replace("$$(", "")
    shell(command.replace("$$", "$"), sandbox, wheels, secret(project))
    with tarfile.open(sandbox / "bin" / output) as archive:
        assert "./manifest.json" in archive.getnames()
        archive.extractall(tmp_path / "open", filter="data")
    assert list(generation.read(tmp_path / "open").manifest.keys) == ["SqliteCatalog[warehouse]"]
    assert not (project / STATE).exists()
