"""A build that finds nothing changed does what the one before did, without importing the engine."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.commands import CACHE_VARIABLE, base_environment, run
from tests.support.projects import copy_project

if TYPE_CHECKING:
    from pathlib import Path

_BUILD = """\
import sys
from hatchling.cli import hatchling
sys.argv = ["hatchling", "build", "-t", "wheel"]
status = hatchling()
print("engine" if "hatch_defs_state.refresh.engine" in sys.modules else "repeated")
sys.exit(status)
"""
_END = "1 state verified in warehouse-1.0.0-py3-none-any.whl"


@dataclass(frozen=True)
class Rebuilds:
    """A project that was built twice: the second build has left a receipt."""

    root: Path
    cache: Path

    def build(self, **variables: str) -> list[str]:
        """Build a wheel and return what was printed, without the digest."""
        own = {CACHE_VARIABLE: str(self.cache), "DEFS_STATE_REFRESH": "reuse"}
        environment = base_environment() | own | variables
        result = run([sys.executable, "-c", _BUILD], cwd=self.root, env=environment)
        lines = (result.stderr + result.stdout).splitlines()
        return [line.removeprefix("defs-state: ").split(", digest")[0] for line in lines]

    @property
    def wheel(self) -> Path:
        """The wheel that was built last."""
        return self.root / "dist/warehouse-1.0.0-py3-none-any.whl"

    @property
    def receipt(self) -> Path:
        """The receipt of the build before."""
        (found,) = self.cache.glob("projects/*/receipt.json")
        return found

    @property
    def kept(self) -> Path:
        """The kept state."""
        (found,) = self.cache.glob("projects/*/generations/*/SqliteCatalog*/state")
        return found


@pytest.fixture
def rebuilds(tmp_path: Path) -> Rebuilds:
    """The quickstart, built twice."""
    rebuilds = Rebuilds(copy_project("quickstart", tmp_path), tmp_path / "cache")
    assert rebuilds.build()[0] == "1 writer to run"
    assert rebuilds.build() == ["1 state reused", _END, *_packed("engine")]
    return rebuilds


def times(path: Path) -> list[int]:
    """Return what a receipt notes of a file that has settled."""
    status = path.stat()
    return [status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _packed(how: str) -> list[str]:
    return ["dist/warehouse-1.0.0-py3-none-any.whl", how]


def test_nothing_changed_gives_the_same_bytes_and_says_the_same(rebuilds: Rebuilds) -> None:
    before = rebuilds.wheel.read_bytes()
    rebuilds.wheel.unlink()
    assert rebuilds.build() == ["1 state reused", _END, *_packed("repeated")]
    assert rebuilds.wheel.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="the time of the last change is that of the creation")
def test_state_that_was_left_alone_is_not_read_again(rebuilds: Rebuilds) -> None:
    content = json.loads(rebuilds.receipt.read_bytes())
    content[12][0][2] = "0" * 64
    content[12][0][3] = times(rebuilds.kept)
    rebuilds.receipt.write_text(json.dumps(content), "utf-8")
    assert rebuilds.build()[-1] == "repeated"


def test_whatever_changed_ends_it(rebuilds: Rebuilds) -> None:
    (rebuilds.root / "src/warehouse/more.json").write_text("{}", "utf-8")
    assert rebuilds.build() == ["1 state reused", _END, *_packed("engine")]
    assert rebuilds.build()[-1] == "repeated"
    declaration = rebuilds.root / "src/warehouse/defs/catalog/defs.yaml"
    declaration.write_text(declaration.read_text("utf-8") + "# comment\n", "utf-8")
    assert rebuilds.build()[-1] == "engine"
    assert rebuilds.build(DEFS_STATE_REFRESH="always")[0] == "1 writer to run"


def test_state_that_is_too_old_ends_it(rebuilds: Rebuilds) -> None:
    content = json.loads(rebuilds.receipt.read_bytes())
    assert content[3] is None
    assert rebuilds.build(DEFS_STATE_MAX_AGE="1h")[-1] == "engine"
    content = json.loads(rebuilds.receipt.read_bytes())
    content[3] -= 3600
    rebuilds.receipt.write_text(json.dumps(content), "utf-8")
    assert rebuilds.build(DEFS_STATE_MAX_AGE="1h")[-1] == "engine"


def test_altered_kept_state_is_noticed_before_it_is_packed(rebuilds: Rebuilds) -> None:
    size = rebuilds.kept.stat().st_size
    rebuilds.kept.write_bytes(b" " * size)
    assert rebuilds.build()[0] == "1 writer to run"
    assert verify_wheel(rebuilds.wheel).path == rebuilds.wheel


def test_state_that_is_altered_behind_its_time_stamps_does_not_ship(rebuilds: Rebuilds) -> None:
    kept = rebuilds.kept
    kept.write_bytes(b" " * kept.stat().st_size)
    content = json.loads(rebuilds.receipt.read_bytes())
    content[12][0][3] = times(kept)
    rebuilds.receipt.write_text(json.dumps(content), "utf-8")
    printed = rebuilds.build()
    problem = "SqliteCatalog__warehouse__/state differs from the manifest: "
    assert printed[0] == "1 state reused"
    assert printed[1].startswith(f"error: {rebuilds.wheel.name}: {problem}")
    assert not rebuilds.wheel.exists()
    assert rebuilds.build()[0] == "1 writer to run"
