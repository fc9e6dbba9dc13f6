"""What a writer may leave in its folder, what never ships, and what is refused."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, SourceLocation, flatten
from hatch_defs_state.refresh.judge import judge
from hatch_defs_state.settings.model import DEFAULT_EXCLUDE

if TYPE_CHECKING:
    from pathlib import Path

DECLARATION = ComponentDeclaration(
    key="k",
    management_type=ManagementType.LOCAL_FILESYSTEM,
    component_type="shop.Orders",
    location=SourceLocation("defs.yaml", 1),
    config_digest="1",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a `state`."""
    folder = tmp_path / "k"
    folder.mkdir()
    (folder / "state").write_text("1", encoding="utf-8")
    return folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")


def accepted(folder: Path, exclude: tuple[str, ...] = DEFAULT_EXCLUDE) -> list[str]:
    return list(judge(folder, DECLARATION, exclude).files)


def refusals(folder: Path, exclude: tuple[str, ...] = DEFAULT_EXCLUDE) -> list[str]:
    with pytest.raises(DefsStateError) as caught:
        judge(folder, DECLARATION, exclude)
    return [error.message for error in flatten([caught.value])]


def test_repositories_environments_caches_secrets_and_dbts_leavings_never_ship(
    folder: Path,
) -> None:
    kept = ["project/.gitignore", "project/models/logs/orders.sql", "project/target/manifest.json"]
    put(folder, *kept)
    put(
        folder,
        "project/.git/config",
        "project/deep/.git",
        "project/.venv/bin/python",
        "project/macros/__pycache__/a.pyc",
        "project/.env",
        "project/logs/dbt.log",
        "project/target/dbt.log",
        "project/target/partial_parse.msgpack",
        "project/target/manifest.concurrent-update-lock",
    )
    assert accepted(folder) == [*kept, "state"]


def test_the_setting_replaces_the_default_patterns(folder: Path) -> None:
    put(folder, "project/.env", "project/notes.txt")
    assert accepted(folder, ("*.txt",)) == ["project/.env", "state"]


def test_state_that_is_excluded_is_refused(folder: Path) -> None:
    assert refusals(folder, ("stat*",)) == ["its file `state` is excluded by the setting `exclude`"]


def test_a_pattern_that_is_none_is_refused(folder: Path) -> None:
    (message,) = refusals(folder, ("!",))
    assert message.startswith("exclude: ")


def test_state_may_be_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "k", "state/a.json", "state/deep/b.json")
    assert accepted(tmp_path / "k") == ["state/a.json", "state/deep/b.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_inside_the_folder_ship_as_what_they_lead_to(folder: Path) -> None:
    put(folder, "project/models/a.sql")
    (folder / "project" / "again.sql").symlink_to("models/a.sql")
    (folder / "project" / "packages").symlink_to("models")
    (folder / "project" / ".venv").symlink_to("/usr")
    assert accepted(folder) == [
        "project/again.sql",
        "project/models/a.sql",
        "project/packages/a.sql",
        "state",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_everything_that_cannot_ship_is_named(folder: Path) -> None:
    (folder / "project").mkdir()
    (folder / "project" / "outside").symlink_to("/etc/hostname")
    (folder / "project" / "above").symlink_to("..")
    (folder / "project" / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "project" / "pipe")
    put(folder, "README", "readme")
    assert refusals(folder) == [
        "the link project/above leads back to a folder above it",
        "project/nowhere is a link to missing, which does not exist",
        "project/outside is a link that leaves the state folder: it points to /etc/hostname",
        "project/pipe is a named pipe, not a file",
        "readme and README are one file where case does not count",
    ]


@given(st.lists(st.text("ab.~", min_size=1, max_size=3), min_size=1, max_size=3))
def test_every_file_ships_whole_or_is_excluded(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("k")
    put(folder, "state")
    parts = [part for part in parts if part not in {".", ".."}] or ["a"]
    put(folder, "/".join(["project", *parts]))
    found = judge(folder, DECLARATION, ())
    assert list(found.files) == ["/".join(["project", *parts]), "state"]
    for path, entry in found.files.items():
        assert entry.size == len(found.paths[path].read_bytes()) == len(path)
