"""A child process that hosts writers, seen from the parent."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hatch_defs_state
from hatch_defs_state.errors import InterpreterError
from hatch_defs_state.refresh.family import RUN_MARKER
from hatch_defs_state.refresh.kill import kill_tree
from hatch_defs_state.settings.layers import DEV_VARIABLE

if TYPE_CHECKING:
    import queue
    from collections.abc import Mapping, Sequence

_JOIN_SECONDS = 5.0

_BOOT = (
    "import sys; sys.path[:] = [path for path in sys.path if path] + sys.argv[1:]; "
    "del sys.argv[1:]; from hatch_defs_state.refresh.host import main; main()"
)
"""`-c` puts the working folder on the path, where a file of the project could hide a library."""


@dataclass(frozen=True)
class Guest:
    """What we bring along into the environment of another interpreter.

    Our own package wins over one that is installed there, since parent and child have to be of one
    version. PyYAML is used where the environment has none. Nothing else of the environment that
    runs this code gets there, where it would hide what the project depends on.

    Attributes:
        package: A folder that holds nothing but our package; comes before what is installed.
        fallback: A folder that holds nothing but PyYAML; comes last.
    """

    package: Path
    fallback: Path

    @classmethod
    def make(cls, folder: Path) -> Guest:
        """Make both folders in `folder`."""
        yaml = importlib.util.find_spec("yaml")
        guest = cls(folder / "package", folder / "fallback")
        _offer(Path(hatch_defs_state.__file__).parent, guest.package / "hatch_defs_state")
        if yaml is not None and yaml.origin is not None:
            _offer(Path(yaml.origin).parent, guest.fallback / "yaml")
        return guest


def _offer(package: Path, place: Path) -> None:
    place.parent.mkdir(parents=True)
    try:
        place.symlink_to(package, target_is_directory=True)
    except OSError:
        # Windows, without the right to make links.
        shutil.copytree(package, place, ignore=shutil.ignore_patterns("__pycache__", "*.pyd"))


@dataclass(frozen=True)
class ChildEnvironment:
    """Where and how children run.

    Attributes:
        python: The interpreter.
        folder: The working folder.
        import_roots: Folders that come first on the module search path.
        marker: What the run markers of its writers begin with.
        guest: What is ours where the interpreter is not the one that runs this code.
    """

    python: str
    folder: Path
    import_roots: Sequence[Path]
    marker: str
    guest: Guest | None = None

    def command(self) -> list[str]:
        """Return the command of a child."""
        # Not in PYTHONPATH: pip's build environments insist on adding their folders themselves.
        last = self.guest.fallback if self.guest is not None else _own_folder()
        return [self.python, "-c", _BOOT, str(last)]

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a child."""
        variables = dict(os.environ)
        # Dagster's components refresh by themselves under the `dg` command line.
        variables.pop("DAGSTER_IS_DEV_CLI", None)
        # A code location that the project loads while it is imported must not refresh in turn.
        variables.pop(DEV_VARIABLE, None)
        paths = _split(variables.get("PYTHONPATH"))
        if self.guest is not None:
            paths = [*(path for path in paths if not _has_packages(path)), str(self.guest.package)]
            for name in ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"):
                variables.pop(name, None)
            prefix = Path(self.python).parent.parent
            if (prefix / "pyvenv.cfg").exists():
                variables["VIRTUAL_ENV"] = str(prefix)
        paths = [*map(str, self.import_roots), *paths]
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


def _has_packages(folder: str) -> bool:
    """Whether a folder belongs to an environment: its packages, or pip's way to isolate a build."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return False
    return any(name.endswith(".dist-info") or name == "sitecustomize.py" for name in names)


def _own_folder() -> Path:
    return Path(hatch_defs_state.__file__).parent.parent


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
        """Start the process.

        Raises:
            InterpreterError: It cannot be started.
        """
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.environment.command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self.environment.folder,
                    env=self.environment.variables(),
                    **group,
                )
            except OSError as error:
                python, reason = self.environment.python, error.strerror or error
                raise InterpreterError(
                    f"the interpreter {python} cannot be started: {reason}",
                    hint="make its environment anew, or change the setting `python`",
                ) from None
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
