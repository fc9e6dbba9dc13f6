"""The programs that build wheels and PEX files: which are installed, and running them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from hatch_defs_state.errors import ToolError
from hatch_defs_state.refresh.family import RUN_MARKER
from hatch_defs_state.refresh.kill import kill_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OLDEST_PEX = Version("2.82.0")
"""The first that has `--bind-resource-path` for PEX files."""

_OWN_LINES = "defs-state: "
_SHOWN_LINES = 60
_GRACE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Tool:
    """A program.

    Attributes:
        name: What it is called in messages, with its version where that is known.
        command: How it is started.
    """

    name: str
    command: tuple[str, ...]


def find_pex() -> Tool:
    """Return the pex beside this interpreter, or else on the search path.

    Raises:
        ToolError: There is none, or it is too old.
    """
    path = _find("pex")
    if path is None:
        raise ToolError(
            "pex is not installed",
            hint="run `pip install pex` in the environment of defs-state, or put pex on PATH",
        )
    asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    text = asked.stdout.strip()
    try:
        version = Version(text)
    except InvalidVersion:
        raise ToolError(
            f"{path} --version prints {text!r} instead of a version", output=asked.stderr
        ) from None
    if version < OLDEST_PEX:
        raise ToolError(
            f"pex {version} is too old: PEX files that need their state to boot came with "
            f"{OLDEST_PEX}",
            hint=f"run `pip install --upgrade pex`; found {path}",
        )
    return Tool(f"pex {version}", (path,))


def wheel_builder() -> Tool:
    """Return what builds wheels here: build, uv or pip, the first that is installed.

    Its command lacks the folder for the wheel and the project.

    Raises:
        ToolError: None is.
    """
    uv = _find("uv")
    if importlib.util.find_spec("build") is not None:
        installer = ("--installer", "uv") if uv else ()
        command = (sys.executable, "-m", "build", "--wheel", *installer, "--outdir")
        return Tool("python -m build", command)
    if uv is not None:
        return Tool("uv build", (uv, "build", "--wheel", "--python", sys.executable, "--out-dir"))
    if importlib.util.find_spec("pip") is not None:
        # It shows what build back ends print only when it shows everything.
        options = ("wheel", "--verbose", "--no-deps", "--disable-pip-version-check")
        return Tool("pip wheel", (sys.executable, "-m", "pip", *options, "--wheel-dir"))
    raise ToolError(
        "nothing that builds wheels is installed", hint="run `pip install build`, or install uv"
    )


@dataclass(frozen=True)
class Log:
    """Where lines about the work go.

    Attributes:
        say: Receives lines that matter.
        detail: Receives what tools print.
    """

    say: Callable[[str], None]
    detail: Callable[[str], None]


def run(tool: Tool, arguments: Sequence[str], log: Log, what: str) -> None:
    """Run a tool to its end, and pass on what our hook prints in it.

    Args:
        tool: The program.
        arguments: Its arguments.
        log: Receives its lines as soon as they are printed.
        what: What it is for, for the error: "the wheel of shop".

    Raises:
        ToolError: It failed; with the end of what it printed.
    """
    marker = uuid.uuid4().hex
    group: dict[str, Any] = {} if os.name == "nt" else {"start_new_session": True}
    process = subprocess.Popen(
        [*tool.command, *arguments],
        env={**os.environ, RUN_MARKER: marker},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **group,
    )
    printed: list[str] = []
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            printed.append(line)
            text = line.strip()
            if text.startswith(_OWN_LINES) and not text.startswith(f"{_OWN_LINES}error:"):
                log.say(text[len(_OWN_LINES) :])
            else:
                log.detail(line.rstrip())
        status = process.wait()
    except BaseException:
        _end(process, marker)
        raise
    if status != 0:
        raise ToolError(
            f"{tool.name} cannot build {what}: it ended with status {status}",
            output=_explanation(printed),
        )


def _end(process: subprocess.Popen[str], marker: str) -> None:
    """End a tool with all that it started; our hook in it gets the time to end its writers."""
    if os.name == "nt":
        process.terminate()
    else:
        _end_group(process)
    kill_tree(process.pid, marker)
    process.wait()


def _end_group(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _GRACE_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            # The tool may end before the hook that runs in a process of its own.
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(_PAUSE_SECONDS)


def _explanation(printed: Sequence[str]) -> str:
    """Return what a failed tool printed: from our first error on, or else the end of it."""
    first = next((n for n, line in enumerate(printed) if f"{_OWN_LINES}error:" in line), None)
    return "".join(printed[-_SHOWN_LINES:] if first is None else printed[first:])


def _find(name: str) -> str | None:
    scripts = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))
