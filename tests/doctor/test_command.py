"""`defs-state doctor`: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.doctored import SOUND, make_project
from tests.support.projects import snapshot
from tests.test_cli import defs_state

if TYPE_CHECKING:
    from pathlib import Path

UV = "`uv sync --no-editable` and `uv pip install -r` install the wheel that uv built before, "
UV += "with the state of then"
NO_UV = SOUND.replace('[tool.uv]\nreinstall-package = ["shop"]\n\n', "")


def test_nothing_found_ends_with_status_0(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    before = snapshot(project)
    result = defs_state(project / "src", "doctor")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "shop: 11 checks, 0 problems\n"
    assert snapshot(project) == before


def test_problems_come_first_and_end_with_status_1(tmp_path: Path) -> None:
    project = make_project(tmp_path, NO_UV.replace(', "hatch-defs-state"]', "]"))
    (project / "src/shop/defs/__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    result = defs_state(tmp_path.parent, "doctor", "--project", str(project))
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == (
        "problem: pyproject.toml:2: the hook is turned on and is not installed where the project "
        "is built (build-system)\n"
        '  fix: add "hatch-defs-state" to requires\n'
        "\n"
        f"advice: pyproject.toml: {UV} (uv-cache)\n"
        '  fix: add reinstall-package = ["shop"] to pyproject.toml, below a new line [tool.uv]\n'
        "\n"
        "shop: 11 checks, 1 problem, 1 of advice\n"
    )


def test_advice_alone_ends_with_status_0(tmp_path: Path) -> None:
    result = defs_state(make_project(tmp_path, NO_UV), "doctor", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout) == {
        "schema": 1,
        "project": "shop",
        "problems": 0,
        "findings": [
            {
                "code": "uv-cache",
                "severity": "advice",
                "file": "pyproject.toml",
                "line": None,
                "message": UV,
                "fix": 'add reinstall-package = ["shop"] to pyproject.toml, below a new line '
                "[tool.uv]",
            }
        ],
    }


def test_no_project_and_no_toml_are_errors(tmp_path: Path) -> None:
    result = defs_state(tmp_path, "doctor")
    assert result.returncode == 1
    assert result.stderr.startswith("error: no pyproject.toml or dg.toml in ")
    (tmp_path / "pyproject.toml").write_text("[", encoding="utf-8")
    result = defs_state(tmp_path, "doctor", "--json")
    assert result.returncode == 1
    assert result.stderr.startswith("error: pyproject.toml: not valid TOML: ")
