"""The packages of a project are found where its build back end is told that they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_defs_state import project as projects
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.settings.model import Settings

if TYPE_CHECKING:
    from pathlib import Path

TOLD = {
    "nothing, src": ("", "src"),
    "nothing, flat": ("", "."),
    "setuptools, where": ('[tool.setuptools.packages.find]\nwhere = ["lib/python"]', "lib/python"),
    "setuptools, package-dir": ('[tool.setuptools.package-dir]\n"" = "lib"', "lib"),
    "setuptools, one package": ('[tool.setuptools.package-dir]\nshop = "lib/shop"', "lib"),
    "poetry": ('[[tool.poetry.packages]]\ninclude = "shop"\nfrom = "lib"', "lib"),
    "uv": ('[tool.uv.build-backend]\nmodule-root = "python"', "python"),
    "uv, flat": ('[tool.uv.build-backend]\nmodule-root = ""', "."),
    "pdm": ('[tool.pdm.build]\npackage-dir = "lib"', "lib"),
}


def locate(root: Path, toml: str) -> projects.Project:
    (root / "pyproject.toml").write_text(toml, encoding="utf-8")
    return projects.locate(projects.read_config(root), Settings())


@pytest.mark.parametrize("name", TOLD)
def test_the_defs_folder_is_found_below_the_folder_that_the_back_end_is_told(
    name: str, tmp_path: Path
) -> None:
    toml, folder = TOLD[name]
    defs = tmp_path / folder / "shop" / "defs"
    defs.mkdir(parents=True)
    project = locate(tmp_path, toml)
    assert (project.defs_module, project.defs_folder) == ("shop.defs", defs)
    assert project.import_roots[-1] == tmp_path


@pytest.mark.parametrize(
    "toml",
    [
        "tool = 1",
        '[tool]\nsetuptools = ["a"]\npoetry = {packages = "a"}\nuv = {build-backend = 1}',
        '[tool.setuptools]\npackage-dir = {shop = "code", a = 1}\npackages = ["shop"]',
        '[[tool.poetry.packages]]\ninclude = "shop"\nfrom = "code"\nto = "elsewhere"',
    ],
)
def test_what_cannot_be_understood_is_left_to_the_back_end(toml: str, tmp_path: Path) -> None:
    (tmp_path / "code" / "shop" / "defs").mkdir(parents=True)
    with pytest.raises(ProjectError) as raised:
        locate(tmp_path, toml)
    assert raised.value.message == "no package with a folder `defs` in ."
