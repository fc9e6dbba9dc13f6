"""A project is loaded by the name of its defs module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.components import source
from hatch_defs_state.errors import ProjectError
from tests.components.sample_project import SampleProject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    return SampleProject(tmp_path, monkeypatch)


def refusal(project: SampleProject, defs_module: str) -> str:
    with pytest.raises(ProjectError) as caught:
        source.load(project.root, defs_module)
    return str(caught.value)


@pytest.mark.parametrize("with_init", [True, False])
def test_components_are_found_in_the_folder_of_the_module(
    project: SampleProject, tmp_path: Path, with_init: bool
) -> None:
    if with_init:
        project.write("defs/__init__.py", "")
    project.declare("type: shop.components.Catalog\nattributes: {name: a}\n")
    (loaded,) = source.load(project.root, "shop.defs").components
    assert loaded.declaration.key == "Catalog[a]"
    state_path = tmp_path / "state"
    assert source.write_state(loaded, state_path) is None
    assert state_path.read_text() == "a"


def test_a_module_that_is_not_there_is_a_project_error(project: SampleProject) -> None:
    hint = "check the name; its package has to be on an import root or installed as a dependency"
    for name, missing in (("absent.defs", "absent"), ("shop.absent", "shop.absent")):
        assert refusal(project, name) == (
            f"the defs module {name} cannot be imported: no module named {missing}\n  hint: {hint}"
        )


def test_what_the_module_raises_is_a_project_error(project: SampleProject) -> None:
    project.write("defs/__init__.py", "import sys\n\nsys.exit(2)")
    assert refusal(project, "shop.defs") == (
        "the defs module shop.defs cannot be imported: importing shop.defs raised SystemExit: 2\n"
        "  hint: see src/shop/defs/__init__.py:3"
    )


def test_a_module_without_a_folder_is_a_project_error(project: SampleProject) -> None:
    assert refusal(project, "shop.components") == (
        "the defs module shop.components has no folder\n"
        "  hint: make it a package: the components are declared in its folder"
    )


@pytest.mark.parametrize("name", ["", ".defs", "shop..defs", "shop/defs"])
def test_a_name_that_no_module_can_have_is_a_project_error(
    project: SampleProject, name: str
) -> None:
    assert refusal(project, name) == f"{name!r} is not the dotted name of a module"
