"""Running commands for tests: what surrounds the test run must not leak into them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT: Final = 600.0
CACHE_VARIABLE: Final = "DEFS_STATE_CACHE_DIR"

HATCHLING: Final = str(Path(sysconfig.get_path("scripts"), "hatchling"))
"""Hatchling's own front end, in the environment of the tests: quick, without isolation."""

# Settings of the tools under test, or of the interpreter, that whoever runs the tests may have.
_LEAKS: Final = (
    "COV_",
    "DAGSTER_",
    "DBT_",
    "DEFS_STATE_",
    "FIVETRAN_",
    "GITHUB_TOKEN",
    "HATCH_",
    "PYTEST_",
    "PYTHON",
    "SOURCE_DATE_EPOCH",
    "VIRTUAL_ENV",
)


def base_environment() -> dict[str, str]:
    """Return the environment of the test run without what would change how our tools behave.

    Settings of package installers stay: they say where packages come from.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name == CACHE_VARIABLE or not name.startswith(_LEAKS)
    }


@cache
def find_uv() -> str | None:
    """Return the path of uv beside the interpreter or on the search path, if there is one."""
    scripts = sysconfig.get_path("scripts")
    return shutil.which("uv", path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    user: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output captured; a failure is the caller's to judge.

    Args:
        arguments: The program and its arguments.
        cwd: Where to run it; the current folder by default.
        env: Its whole environment; `base_environment()` by default.
        timeout: Seconds after which it is killed and the test fails.
        user: Number of the user and group to run it as; needs root.
    """
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=dict(base_environment() if env is None else env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def run_checked(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed for the test to mean anything.

    Raises:
        AssertionError: If it fails, with all that it printed.
    """
    result = run(arguments, cwd=cwd, env=env)
    assert result.returncode == 0, f"{arguments} exits with {result.returncode}:\n{printed(result)}"
    return result


def printed(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, for the message of an assertion."""
    return f"{result.stdout}\n{result.stderr}".strip()


def make_venv(
    folder: Path, python: Path | str = sys.executable, *, env: Mapping[str, str] | None = None
) -> Path:
    """Make a virtual environment without any package and return its interpreter.

    Args:
        folder: Where to make it.
        python: The interpreter that it is for.
        env: Variables that the interpreter needs.
    """
    uv = find_uv()
    if uv:
        options = ("--quiet", "--no-project", "--relocatable")
        command = [uv, "venv", *options, "--python", python, folder]
    else:
        command = [python, "-m", "venv", folder]
    run_checked(command, env=base_environment() | dict(env or {}))
    return folder / "bin" / "python"


def install(
    python: Path,
    *requirements: str | Path,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Install packages into a virtual environment.

    Args:
        python: Its interpreter.
        requirements: Requirements and paths of wheels.
        options: Options of `uv pip install`, which plain pip, when it stands in, does not get.
        env: Variables that the interpreter needs.
    """
    uv = find_uv()
    command: list[str | Path]
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python, *options]
    else:
        command = [python, "-m", "pip", "install", "--quiet"]
    run_checked([*command, *requirements], env=base_environment() | dict(env or {}))
