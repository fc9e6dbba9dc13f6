"""The page on PEX files: its commands run on the project, its settings are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.frontends import kept_environment
from tests.support.pages import block, secret, shell
from tests.support.plugin import dependencies
from tests.support.wrapped import PEX, wrapped

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_pex_is_built_verified_and_loads(project: Path, wheels: Path) -> None:
    programs = kept_environment(PEX, *dependencies()).parent
    script = f"export PATH=$PATH:{programs}\n{block('pex.md', 'build')}"
    script = script.replace("-o warehouse.pex", f"-o warehouse.pex --find-links {wheels}")
    printed = shell(script, project, wheels, secret(project))
    assert "1 state verified" in printed
    assert "products: id, name, price_in_cents" in printed


def test_the_settings_of_wrapped_projects_are_read(tmp_path: Path) -> None:
    project = wrapped("setuptools", tmp_path)
    text = block("pex.md", "pyproject.toml")
    rest = (project / "pyproject.toml").read_text("utf-8").partition("[project]")[2]
    (project / "pyproject.toml").write_text(f"{text}\n[project]{rest}", encoding="utf-8")
    printed = shell("defs-state refresh", project, tmp_path)
    assert "1 writer to run" in printed
    wrong = text.replace('timeout = "2m"', 'timeuot = "2m"')
    (project / "pyproject.toml").write_text(f"{wrong}\n[project]{rest}", encoding="utf-8")
    refused = shell("! defs-state refresh", project, tmp_path)
    assert 'tool.pex.build_backend."hatch_defs_state.pex_plugin".timeuot' in refused
