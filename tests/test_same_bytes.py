"""Equal state gives equal archives, whenever, wherever and by whomever they are built."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.support.commands import CACHE_VARIABLE, HATCHLING, base_environment, run_checked
from tests.test_layouts import ARRANGEMENTS, arrange

if TYPE_CHECKING:
    from pathlib import Path

_WRITER = """
@dataclass
class Tree(Writer):
    def write_state_to_path(self, state_path: Path) -> None:
        names = ["b", "a", "Z", "\u00e4", "c/d", "c/a"]
        for name in sorted(names, reverse="ODD" in os.environ):
            file = state_path.parent / "files" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name, encoding="utf-8")
            file.chmod(0o755 if "ODD" in os.environ else 0o600)
        state_path.write_text("tree", encoding="utf-8")
"""


def build(folder: Path, name: str, *, umask: str, **variables: str) -> dict[str, bytes]:
    arrangement = ARRANGEMENTS[name]
    project = arrange(arrangement, folder)
    package = project / arrangement.folder
    with (package / "writers.py").open("a", encoding="utf-8") as writers:
        writers.write(_WRITER)
    module = arrangement.package
    (package / "defs" / "defs.yaml").write_text(
        f"type: {module}.writers.Writer\n---\ntype: {module}.writers.Tree\n"
        "attributes:\n  key: tree\n",
        "utf-8",
    )
    for file in project.rglob("*"):
        os.utime(file, (len(variables), len(variables)))
    command = f"umask {umask}; exec {HATCHLING} build -t sdist -t wheel -d {folder}/dist"
    own = {CACHE_VARIABLE: str(folder / "cache")}
    run_checked(["sh", "-c", command], cwd=project, env=base_environment() | own | variables)
    return {file.name: file.read_bytes() for file in (folder / "dist").iterdir()}


@pytest.mark.parametrize("name", ["src", "sources renames the package"])
def test_two_machines_build_the_same_bytes(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "another-place").mkdir()
    one = build(tmp_path / "one", name, umask="077", TZ="Asia/Tokyo", LANG="C.UTF-8")
    # Dates in manifests have whole seconds.
    time.sleep(1.1)
    other = build(tmp_path / "another-place", name, umask="002", TZ="UTC", ODD="1", HOME="/")
    assert sorted(one) == ["broken-1.0.0-py3-none-any.whl", "broken-1.0.0.tar.gz"]
    assert one == other


def test_a_source_date_is_the_date_of_the_state(tmp_path: Path) -> None:
    build(tmp_path, "src", umask="022", SOURCE_DATE_EPOCH="315532800")
    with ZipFile(tmp_path / "dist" / "broken-1.0.0-py3-none-any.whl") as archive:
        manifest = archive.read("broken/defs/.local_defs_state/manifest.json")
    assert b'"written_at": "1980-01-01T00:00:00Z"' in manifest
