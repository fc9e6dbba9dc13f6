"""Sources are staged with the state beside them, from any layout of the tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state import project as projects
from hatch_defs_state.packing.sources import as_sources
from hatch_defs_state.settings.model import Settings
from tests.test_layouts import ARRANGEMENTS, arrange

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.refresh.events import Event
    from hatch_defs_state.storage.versioned import VersionedStorage

STATE = "broken/defs/.local_defs_state"


def ignore(_event: Event) -> None:
    pass


def no_store() -> VersionedStorage:
    raise AssertionError("no version is to be pinned")


@pytest.mark.parametrize("name", ["flat", "src"])
def test_packages_are_copied_and_nothing_else_of_the_tree(name: str, tmp_path: Path) -> None:
    arrangement = ARRANGEMENTS[name]
    root = arrange(arrangement, tmp_path)
    package = root / arrangement.folder
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "writers.pyc").write_bytes(b"")
    (package / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (package / "run.sh").chmod(0o700)
    (package.parent / "broken.egg-info").mkdir()
    (package.parent / "broken.egg-info" / "PKG-INFO").write_text("", encoding="utf-8")
    (package.parent / ".venv").mkdir()
    (package.parent / ".venv" / "pyvenv.cfg").write_text("", encoding="utf-8")
    beside = package.parent / "beside.py"
    beside.write_text("", encoding="utf-8")

    settings = Settings(python="build")
    project = projects.locate(projects.read_config(root), settings)
    part = as_sources(project, settings, tmp_path / "staged", ignore, no_store)
    staged = tmp_path / "staged"
    assert part.sources == staged
    files = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()}
    assert files == {
        *({"beside.py"} if name == "src" else ()),
        "broken/__init__.py",
        f"{STATE}/.gitignore",
        f"{STATE}/manifest.json",
        f"{STATE}/orders/state",
        "broken/defs/__init__.py",
        "broken/defs/defs.yaml",
        "broken/run.sh",
        "broken/writers.py",
    }
    assert os.access(staged / "broken/run.sh", os.X_OK)
    assert (staged / "broken/writers.py").stat().st_mode & 0o777 == 0o644
    assert (part.name, part.variable) == ("broken", "DEFS_STATE_MANIFEST_BROKEN")
    assert part.manifest == f"{STATE}/manifest.json"
