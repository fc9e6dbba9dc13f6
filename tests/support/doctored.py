"""Projects for `defs-state doctor`, and what it finds in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.doctor.examination import examine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOUND = """\
[build-system]
requires = ["hatchling", "hatch-defs-state"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1.0.0"

[tool.uv]
reinstall-package = ["shop"]

[tool.hatch.build.hooks.defs-state]
"""
"""A `pyproject.toml` in which there is nothing to find."""

STATE = "src/shop/defs/.local_defs_state"


def make_project(
    folder: Path, pyproject: str = SOUND, files: Mapping[str, str] | None = None
) -> Path:
    """Make a project of a package `shop` in `src`, unless its files say otherwise.

    Args:
        folder: An existing folder; it becomes a repository's, with the project at its top.
        pyproject: Content of `pyproject.toml`.
        files: Other files, by path.
    """
    (folder / ".git").mkdir(exist_ok=True)
    content = {"pyproject.toml": pyproject, "src/shop/defs/__init__.py": "", **(files or {})}
    for name, text in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def findings(project: Path) -> list[str]:
    """Return what is found, a text for each: severity, code, place, message, fix."""
    return [
        f"{each.severity.value} {each.code} {each.location or '-'}: {each.message} => {each.fix}"
        for each in examine(project)[1]
    ]
