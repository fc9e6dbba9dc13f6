"""Clean-up beside Dagster's own class: what its pointer names stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.commands import base_environment, run, run_checked
from tests.support.frontends import kept_environment
from tests.support.plugin import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.slow

NEEDS = ("click", "packaging", "pathspec", "pyyaml", "filelock", "platformdirs")
DAGSTER = {
    "the oldest supported": ("dagster==1.12.0", "dagster-shared==1.12.0"),
    "the newest": ("dagster>=1.13.27",),
}
CONFIG = """\
defs_state_storage:
  module: dagster._core.storage.defs_state
  class: UPathDefsStateStorage
  config: {base_path: %s}
"""
UPLOAD = """
import sys
from pathlib import Path
from dagster import DagsterInstance
from dagster._core.storage.defs_state import UPathDefsStateStorage
Path("state").write_text("by Dagster")
with DagsterInstance.get() as instance:
    storage = instance.defs_state_storage
    assert isinstance(storage, UPathDefsStateStorage)
    for version in sys.argv[1:]:
        storage.upload_state_from_path("theirs", version, Path("state"))
"""
OLD, CURRENT = (f"{number}f6e3c1a-3f0e-4c8b-9a55-6f2f6f1c7d10" for number in (0, 1))


@pytest.fixture(params=DAGSTER)
def dagster(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with a Dagster release."""
    return kept_environment(*DAGSTER[request.param], "universal-pathlib", *NEEDS)


def gc(python: Path, folder: Path, *options: str, **variables: str) -> CompletedProcess[str]:
    environment = base_environment() | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEFS_STATE_STORE": str(folder / "store"),
        **variables,
    }
    command = (python, "-m", "hatch_defs_state", "store", "gc", "--json")
    return run([*command, "--keep-age", "0", "--grace", "0", *options], env=environment)


def test_what_dagsters_pointer_names_stays(dagster: Path, tmp_path: Path) -> None:
    storage = VersionedStorage(tmp_path / "store")
    (tmp_path / "state").write_text("ours")
    storage.push({"ours": tmp_path / "state"})
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(CONFIG % (tmp_path / "store"))
    run_checked(
        [dagster, "-c", UPLOAD, OLD, CURRENT],
        cwd=tmp_path,
        env=base_environment() | {"DAGSTER_HOME": str(home)},
    )
    # Taken over once and forgotten again, it is ours to remove, but for the pointer.
    storage.set_version("theirs", CURRENT)
    storage.set_version("theirs", None)
    result = gc(dagster, tmp_path, "--keep-commits", "1", "--unknown", DAGSTER_HOME=str(home))
    found = json.loads(result.stdout)
    assert found["forgotten"] == [1, 2]
    assert [unit["name"] for unit in found["removed"]] == [f"theirs/{OLD}"]
    assert (tmp_path / "store" / "theirs" / CURRENT).read_text() == "by Dagster"


def test_a_pointer_that_cannot_be_read_stops_it(tmp_path: Path) -> None:
    dagster = kept_environment(*DAGSTER["the newest"], "universal-pathlib", *NEEDS)
    storage = VersionedStorage(tmp_path / "store")
    (tmp_path / "state").write_text("ours")
    version = storage.push({"ours": tmp_path / "state"}).version_of("ours")
    storage.set_version("ours", None)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("run_storage: {module: no_such, class: Thing}\n")
    result = gc(dagster, tmp_path, "--keep-commits", "1", DAGSTER_HOME=str(home))
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: Dagster's pointer to current versions cannot be read: " in result.stderr
    assert "Traceback" not in result.stderr
    options = ("--keep-commits", "1", "--no-dagster")
    result = gc(dagster, tmp_path, *options, DAGSTER_HOME=str(home))
    assert [unit["name"] for unit in json.loads(result.stdout)["removed"]] == [f"ours/{version}"]


def test_without_dagster_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("ours")
    VersionedStorage(tmp_path / "store").push({"ours": tmp_path / "state"})
    result = gc(kept_environment(*NEEDS), tmp_path, DAGSTER_HOME=str(tmp_path))
    assert result.returncode == 0
    assert result.stderr == (
        "warning: DAGSTER_HOME is set, but Dagster is not installed here: what its own pointer "
        "names is kept only if a commit or a pin names it too\n"
    )
