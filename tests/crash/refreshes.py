"""Whole refreshes of a project whose state names the refresh that wrote it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hatch_defs_state.storage.generation import FOLDER_NAME
from tests.crash.generations import BIG
from tests.support.commands import base_environment
from tests.support.projects import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFS_STATE: Final = str(Path(sysconfig.get_path("scripts"), "defs-state"))
KEYS: Final = tuple(f"key{number:02}" for number in range(16))

_RUN = "CRASH_TEST_RUN"
_WRITER = f"""

def write_run(self, state_path):
    run = os.environ["{_RUN}"]
    for path in (state_path, state_path.with_name("part")):
        path.write_bytes(f"{{run}} {{self.key}}".encode().ljust({BIG}))


Writer.write_state_to_path = write_run
"""


class RefreshedProject:
    """A project with components whose files begin with the name of the refresh.

    Args:
        folder: Where refreshes work, and where the project is.
        disk: Where the project is instead.

    Attributes:
        root: Its folder.
        target: Where its generation is published.
    """

    def __init__(self, folder: Path, disk: Path | None = None) -> None:
        project = FIXTURES / "failing" / "project"
        self.root = Path(shutil.copytree(project, (disk or folder) / "broken"))
        declarations = (
            f"type: broken.writers.Writer\nattributes: {{key: {key}}}\n" for key in KEYS
        )
        defs = self.root / "src/broken/defs"
        (defs / "defs.yaml").write_text("---\n".join(declarations), encoding="utf-8")
        writers = self.root / "src/broken/writers.py"
        writers.write_text(writers.read_text(encoding="utf-8") + _WRITER, encoding="utf-8")
        self.target = defs / FOLDER_NAME
        self._cache = folder / "cache"
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        # What is there from the start is no litter.
        self._declared = {path.name for path in defs.iterdir()} | {FOLDER_NAME, "__pycache__"}

    def variables(self, run: str, user: str = "user") -> Mapping[str, str]:
        """Return the environment of the refresh that is called `run`."""
        return base_environment() | {
            _RUN: run,
            "DEFS_STATE_CACHE_DIR": str(self._cache / user),
            "TMPDIR": str(self._temporary),
        }

    def start(self, run: str, user: str = "user") -> subprocess.Popen[str]:
        """Start a refresh.

        Args:
            run: Its name.
            user: Each user has a cache, and with it a lock, of their own.
        """
        return subprocess.Popen(
            [DEFS_STATE, "refresh"],
            cwd=self.root,
            env=self.variables(run, user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def refresh(self, run: str) -> None:
        """Refresh, which must succeed."""
        process = self.start(run)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr

    def litter(self) -> list[str]:
        """Return the names of what publishing has left beside the target."""
        present = {path.name for path in self.target.parent.iterdir()}
        return sorted(present - self._declared)

    def scratch(self) -> list[str]:
        """Return the paths of what refreshes have left of the folders that they worked in."""
        folders = [*self._cache.glob("user/projects/*/runs/*"), *self._temporary.iterdir()]
        return sorted(path.name for path in folders)


def survivors(run: str) -> list[int]:
    """Return the processes of the refresh `run` that do not end within a few seconds."""
    deadline = time.monotonic() + 5
    while (living := processes(run)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return living


def processes(run: str) -> list[int]:
    """Return the processes of the refresh `run`."""
    mark = f"{_RUN}={run}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
