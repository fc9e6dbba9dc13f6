"""How a managed environment is made: with uv, or with virtualenv and pip; from a lock or metadata.

The project itself is never installed: its source tree is what writers are imported from.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import InterpreterError
from hatch_defs_state.refresh.interpreters.interpreter import find
from hatch_defs_state.refresh.interpreters.locks import UV_LOCK
from hatch_defs_state.refresh.interpreters.wanted import which
from hatch_defs_state.refresh.output import tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.interpreters.wanted import Wanted

_USER_OF_URL = re.compile(r"(?<=://)[^/\s]*@")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET", re.IGNORECASE)
_SHORTEST_SECRET = 6

# Children write no bytecode, so that without it they would compile everything at each start.
_COMPILE = "--compile-bytecode"

# They say where and what something else is to install, or what is found there.
_LEFT_OUT = (
    "CONDA_PREFIX",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_DEV",
    "UV_LOCKED",
    "UV_NO_DEV",
    "UV_NO_EDITABLE",
    "UV_NO_GROUP",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIRECTORY",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)


def make(wanted: Wanted, folder: Path, log: Path) -> Interpreter:
    """Make an environment.

    Args:
        wanted: What goes into it.
        folder: Its place, where nothing is yet. Nobody moves it later: pip writes absolute paths
            into scripts.
        log: A file that receives what the tools print.

    Raises:
        DefsStateError: It cannot be made; with the end of what the tool printed.
    """
    if wanted.uv is None:
        return _make_with_pip(wanted, folder, log)
    quiet: list[str | Path] = [wanted.uv, "--no-progress", "--color", "never"]
    venv = [*quiet, "venv", "--no-project", "--python", wanted.python.request, folder]
    _run(venv, wanted.root, log)
    interpreter = find(str(folder), wanted.root)
    if wanted.lock is not None and wanted.lock.name == UV_LOCK:
        command = [*quiet, "sync", "--frozen", "--no-install-project", "--no-default-groups"]
        command += [_COMPILE]
        command += [part for name in wanted.features for part in ("--extra", name)]
        command += [part for name in wanted.groups for part in ("--group", name)]
        command += ["--python", interpreter.executable]
        _run(command, wanted.root, log, UV_PROJECT_ENVIRONMENT=str(folder))
        return interpreter
    install = [*quiet, "pip", "install", _COMPILE, "--python", interpreter.executable]
    return _install(wanted, interpreter, install, folder, log)


def _make_with_pip(wanted: Wanted, folder: Path, log: Path) -> Interpreter:
    """Make an environment with virtualenv, or the standard library's way where it is missing."""
    base = wanted.python.request
    virtualenv = which("virtualenv")
    make_venv = [virtualenv, "--quiet", "--python", base] if virtualenv else [base, "-m", "venv"]
    _run([*make_venv, folder], wanted.root, log)
    interpreter = find(str(folder), wanted.root)
    pip = [interpreter.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return _install(wanted, interpreter, [*pip, "install"], folder, log)


def _install(
    wanted: Wanted,
    interpreter: Interpreter,
    command: Sequence[str | Path],
    folder: Path,
    log: Path,
) -> Interpreter:
    lines, options = wanted.lines(interpreter)
    if lines:
        # In a file, as long as it takes: other users see the arguments of a process.
        file = folder / "requirements.txt"
        file.touch(mode=0o600)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        try:
            _run([*command, *options, "--requirement", file], wanted.root, log)
        finally:
            file.unlink()
    return interpreter


def _run(arguments: Sequence[str | Path], root: Path, log: Path, **more: str) -> None:
    variables = {name: v for name, v in os.environ.items() if name not in _LEFT_OUT}
    tool = Path(arguments[0]).stem
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                arguments,
                cwd=root,
                env=variables | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
    except OSError as error:
        raise InterpreterError(
            f"the environment for the writers cannot be made: {tool}: {error.strerror}"
        ) from None
    if status:
        raise InterpreterError(
            f"the environment for the writers cannot be made: {tool} exited with status {status}",
            hint="its output says why; or let the setting `python` name an environment that has "
            "what the project depends on",
            output=redact(tail(log)),
        )


def redact(text: str) -> str:
    """Return `text` without names and passwords in URLs, and without secrets of the environment."""
    text = _USER_OF_URL.sub("****@", text)
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "****")
    return text
