"""Which build this process belongs to: what processes of one build have in common, and only they.

`hatch build` runs a process for every kind of artifact, `pex` with a modern pip runs two for one
wheel. They have the front end that started them in common.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

BUILD_VARIABLE = "DEFS_STATE_BUILD_ID"

_FRONT_ENDS = frozenset(
    {"build", "pyproject-build", "pip", "pex", "hatch", "hatchling", "uv", "poetry", "pdm", "flit"}
)
_MANAGERS = frozenset({"uv", "hatch", "poetry", "pdm"})
_RUNNING = frozenset({"run", "tool", "shell", "env", "test", "x"})
"""Subcommands of these that run any program, which may be as many builds as it likes."""

_BUILDING = frozenset({"build", "install", "pip", "sync"})
"""Subcommands that build: what follows them is no subcommand."""

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "cmd"})
_WITH_VALUE = frozenset({"-W", "-X"})
"""Options of Python whose value is a word of its own."""

_DEEPEST = 16


@dataclass(frozen=True)
class Process:
    """One process of this machine.

    Attributes:
        pid: Its number.
        parent: That of its parent.
        started: When it was started, in whatever form the system has; with the number it names
            the process.
        arguments: Program and arguments.
    """

    pid: int
    parent: int
    started: str
    arguments: tuple[str, ...]

    @property
    def program(self) -> str:
        """The program's name; that of the module or script where it is run by Python."""
        rest = list(self.arguments)
        name = PurePath(rest.pop(0)).stem.lower() if rest else ""
        if not name.startswith(("python", "pypy")):
            return name
        while rest:
            word = rest.pop(0)
            if word == "-c":
                return ""
            if word == "-m":
                return rest[0].split(".")[0] if rest else ""
            if word in _WITH_VALUE:
                del rest[:1]
            elif not word.startswith("-"):
                return PurePath(word).stem.lower()
        return ""

    @property
    def is_front_end(self) -> bool:
        """Whether it builds, and ends when that is done."""
        return (
            self.program.rstrip("0123456789.") in _FRONT_ENDS
            and not self.is_between
            and not self._runs_anything
        )

    @property
    def _runs_anything(self) -> bool:
        """Whether it manages projects, and its subcommand runs any program."""
        commands = (word for word in self.arguments[1:] if word in _RUNNING | _BUILDING)
        return self.program in _MANAGERS and next(commands, None) in _RUNNING

    @property
    def is_between(self) -> bool:
        """Whether it only hands on: a shell for one command, or the pip inside of pex."""
        kept_by_pex = len(self.arguments) > 1 and self.arguments[1].endswith("/pex")
        return (self.program in _SHELLS and "-c" in self.arguments[1:2]) or (
            kept_by_pex and "/venvs/" in self.arguments[1]
        )


def current_build() -> str:
    """Return what names the build that this process belongs to.

    It is `DEFS_STATE_BUILD_ID` where that is set; else the outermost of the front ends that
    started one another and this process; else this process itself.
    """
    named = os.environ.get(BUILD_VARIABLE)
    if named:
        return f"id {named}"
    process = read_process(os.getpid())
    if process is None:
        return f"process {os.getpid()}"
    front_end = process
    for _ in range(_DEEPEST):
        process = read_process(process.parent)
        if process is None or not (process.is_front_end or process.is_between):
            break
        if process.is_front_end:
            front_end = process
    return f"process {front_end.pid} {front_end.started}"


def read_process(pid: int) -> Process | None:
    """Return a process of this machine; `None` where there is none, or the system does not say."""
    if sys.platform == "win32" or pid <= 0:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        arguments = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return _ask_ps(pid) if not Path("/proc/self").exists() else None
    # The second field is the program's name, in parentheses and with any character in it.
    fields = stat.rpartition(")")[2].split()
    return Process(pid, int(fields[1]), fields[19], tuple(arguments.split("\0")[:-1]))


def _ask_ps(pid: int) -> Process | None:
    command = ["ps", "-o", "ppid=,lstart=,args=", "-p", str(pid)]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    parent, *words = output.split()
    return Process(pid, int(parent), " ".join(words[:5]), tuple(words[5:]))
