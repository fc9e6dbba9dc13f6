"""A disk without space leaves the old generation, and says where space is wanting."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.crash.full_disk import Findings
from tests.support.commands import base_environment, run, run_checked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system in memory")

ROOT = Path(__file__).parents[2]
OWN_MOUNTS = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])


def own_mounts(folder: Path) -> list[str] | None:
    """Return the command that gives another command mounts of its own, if one is allowed to."""
    if shutil.which("unshare"):
        for command in OWN_MOUNTS:
            if run([*command, "mount", "-t", "tmpfs", "none", folder]).returncode == 0:
                return command
    return None


def fill(kind: str, folder: Path, *prefix: str) -> Findings:
    command: list[str | Path] = [*prefix, sys.executable, "-m", "tests.crash.full_disk"]
    result = run_checked([*command, kind, folder], cwd=ROOT, env=base_environment())
    return Findings(**json.loads(result.stdout))


def test_a_full_disk_leaves_the_old_generation_wherever_publishing_meets_its_end(
    tmp_path: Path,
) -> None:
    prefix = own_mounts(tmp_path)
    if prefix is None:
        pytest.skip("nothing can be mounted here; files of limited size stand in for it")
    found = fill("disk", tmp_path, *prefix)
    message = (
        "the state cannot be written to TARGET: No space left on device\n"
        "  hint: nothing was changed there"
    )
    assert found.failed >= 20
    assert set(found.messages) == {message}
    assert set(found.seen) == {"StateError: old", "published: new"}
    assert found.litter == []
    assert len(found.commands) == 3
    for status, printed, seen in found.commands:
        assert status == 1
        assert printed.endswith(f"error: {message}\n")
        assert "Traceback" not in printed
        assert seen == ["before"]


def test_files_that_cannot_grow_leave_the_old_generation(tmp_path: Path) -> None:
    found = fill("limit", tmp_path)
    assert found.failed >= 15
    assert set(found.messages) == {
        ("the state cannot be written to TARGET: File too large\n  hint: nothing was changed there")
    }
    assert set(found.seen) == {"StateError: old", "published: new"}
    assert found.litter == []
