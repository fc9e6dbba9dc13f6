"""A child process that hosts writers, seen from the parent."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hatch_defs_state
from hatch_defs_state.refresh.family import RUN_MARKER
from hatch_defs_state.refresh.kill import kill_tree

if TYPE_CHECKING:
    import queue
    from collections.abc import Mapping, Sequence

_JOIN_SECONDS = 5.0

_BOOT = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from hatch_defs_state.refresh.host import main; main()"
)
"""`-c` puts the working folder on the path, where a file of the project could hide a library."""


@dataclass(frozen=True)
class ChildEnvironment:
    """Where and how children run.

    Attributes:
        python: The interpreter.
        folder: The working folder.
        import_roots: Folders that come first on the module search path.
        marker: What the run markers of its writers begin with.
    """

    python: str
    folder: Path
    import_roots: Sequence[Path]
    marker: str

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a child."""
        variables = dict(os.environ)
        # Dagster's components refresh by themselves under the `dg` command line.
        variables.pop("DAGSTER_IS_DEV_CLI", None)
        paths = [*map(str, self.import_roots), *_split(variables.get("PYTHONPATH"))]
        if self.python == sys.executable:
            paths.append(str(Path(hatch_defs_state.__file__).parent.parent))
        variables["PYTHONPATH"] = os.pathsep.join(paths)
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
        # What the project starts while it is imported is found again by this.
        variables[RUN_MARKER] = self.marker
        # What a writer printed must be on disk when it is killed.
        variables["PYTHONUNBUFFERED"] = "1"
        # Writers run the console scripts of the environment (dbt) by name.
        scripts = str(Path(self.python).parent)
        variables["PATH"] = os.pathsep.join([scripts, *_split(variables.get("PATH"))])
        return variables


def _split(paths: str | None) -> list[str]:
    return [path for path in (paths or "").split(os.pathsep) if path]


@dataclass(eq=False)
class Child:
    """One running child.

    Every message of the child arrives in `inbox` as `(child, message)`; `(child, None)` is the last
    one and says that the child has closed its end.

    Attributes:
        environment: Where and how it runs.
        inbox: Receives its messages.
        log: File that receives what it prints outside of writers.
        capacity: How many writers it can run at once; 0 until it has loaded the project.
        running: Indices of the writers that it runs.
    """

    environment: ChildEnvironment
    inbox: queue.SimpleQueue[tuple[Child, dict[str, Any] | None]]
    log: Path
    capacity: int = 0
    running: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Start the process."""
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.environment.python, "-c", _BOOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.environment.folder,
                env=self.environment.variables(),
                **group,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        for line in self._process.stdout:
            # Whatever runs when an interpreter starts (a `.pth` file) may print before `main` does.
            if line.startswith(b'{"is": '):
                self.inbox.put((self, json.loads(line)))
        self.inbox.put((self, None))

    def send(self, command: Mapping[str, Any]) -> None:
        """Send a command; a child that is gone is noticed by the end of its messages."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def stop(self) -> None:
        """End the process, its writers, and all that they started; return when it is gone."""
        kill_tree(self._process.pid, self.environment.marker)
        self._process.wait()
        # A process that outlived all this could keep the pipe open.
        self._reader.join(_JOIN_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def exit_status(self) -> int:
        """Wait for the end and return the exit status; negative for a signal."""
        return self._process.wait()
