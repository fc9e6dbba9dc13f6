"""An interpreter that can run writers, described without starting it where that is possible."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hatch_defs_state.errors import InterpreterError

NAMES = ("auto", "build", "managed")
"""Values of the setting `python` that are no paths."""

_OLDEST = (3, 10)
_ASK_SECONDS = 60.0
_ASK = (
    "import json, sys; "
    "print(json.dumps(['.'.join(map(str, sys.version_info[:3])), [p for p in sys.path if p]]))"
)
_PLACES = ("bin/python", "Scripts/python.exe", "bin/python3", "python.exe")
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Interpreter:
    """An interpreter and what is installed for it.

    Attributes:
        executable: Its absolute path, links not followed: that is what makes an environment.
        version: Version of Python, e.g. `3.12.1`.
        folders: Where its distributions are installed.
    """

    executable: str
    version: str
    folders: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether it is the one that runs this code."""
        return self.executable == sys.executable


def current() -> Interpreter:
    """Return the interpreter that runs this code."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Interpreter(sys.executable, version, tuple(sys.path))


def find(setting: str, root: Path) -> Interpreter:
    """Return the interpreter that a path names.

    Args:
        setting: Path of an interpreter or of the folder of an environment; relative to `root`.
        root: The project's root.

    Raises:
        InterpreterError: There is none, it cannot be started, or it is too old.
    """
    place = Path(os.path.abspath(root / Path(setting).expanduser()))  # noqa: PTH100 - keeps links
    if place.is_dir():
        found = next((place / name for name in _PLACES if (place / name).is_file()), None)
        if found is None:
            raise InterpreterError(
                f"python: the folder {setting} is no environment: it has no {_PLACES[0]}",
                hint="name an interpreter, or the folder of a virtual environment",
            )
        place = found
    elif not place.exists():
        from hatch_defs_state.components.wording import did_you_mean

        guess = did_you_mean(setting, NAMES)
        raise InterpreterError(
            f"python: there is no interpreter at {setting}{guess}",
            hint="make the environment before the build, or let the setting `python` be "
            '"auto", "managed", "build", or the path of one that is there, relative to the project',
        )
    return describe(place, setting)


def describe(executable: Path, label: str) -> Interpreter:
    """Return what is known of an interpreter; one of a virtual environment is not started.

    Args:
        executable: Its absolute path.
        label: What users call it.

    Raises:
        InterpreterError: It cannot be started, or it is too old.
    """
    version, folders = _read(executable) or ask(executable, label)
    if tuple(map(int, version.split(".")[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise InterpreterError(
            f"python: {label} has Python {version}, writers need {oldest} or newer",
            hint="make the environment with a newer Python",
        )
    return Interpreter(str(executable), version, folders)


def _read(executable: Path) -> tuple[str, tuple[str, ...]] | None:
    """Read the description of a virtual environment (PEP 405) that sees no other packages."""
    folder = executable.parent.parent
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    pairs = (line.partition("=") for line in lines)
    values = {name.strip().lower(): value.strip() for name, _, value in pairs}
    # `virtualenv` and uv write the one, the standard library the other.
    numbers = (values.get("version_info") or values.get("version") or "").split(".")[:3]
    if values.get("include-system-site-packages", "").lower() != "false":
        return None
    if len(numbers) < 3 or not all(number.isdigit() for number in numbers):
        return None
    for lib in ("Lib", f"lib/python{numbers[0]}.{numbers[1]}"):
        packages = folder / lib / "site-packages"
        if packages.is_dir():
            return ".".join(numbers), (str(packages),)
    return None


def ask(executable: Path, label: str) -> tuple[str, tuple[str, ...]]:
    """Start an interpreter and return its version and its module search path.

    Raises:
        InterpreterError: It cannot be started.
    """
    import json
    import subprocess

    variables = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    problem, output = "it does not say which version it is", ""
    try:
        result = subprocess.run(
            [executable, "-c", _ASK],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            check=False,
        )
        output = result.stdout + result.stderr
        if result.returncode == 0:
            version, folders = json.loads(result.stdout.splitlines()[-1])
            return version, tuple(folders)
        problem = f"it exited with status {result.returncode}"
    except OSError as error:
        problem = error.strerror or str(error)
    except subprocess.TimeoutExpired:
        problem = f"it did not answer in {_ASK_SECONDS:g} s"
    except (ValueError, TypeError, IndexError):
        pass
    raise InterpreterError(
        f"python: the interpreter {label} cannot be started: {problem}",
        hint="name a Python interpreter, or the folder of a virtual environment",
        output=output,
    )
