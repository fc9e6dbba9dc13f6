"""Build front ends, run as their users run them."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from tests.support.commands import base_environment, find_uv, install, make_venv, run

if TYPE_CHECKING:
    from collections.abc import Mapping

FRONT_ENDS: Final = ("build>=1.2",)
CACHE: Final = Path(__file__).parents[2] / ".test-cache"


@dataclass(frozen=True)
class BuildResult:
    """What became of a build.

    Attributes:
        returncode: The front end's exit code.
        stdout: What it printed.
        stderr: What it printed as errors.
        wheel: The wheel, if there is exactly one.
    """

    returncode: int
    stdout: str
    stderr: str
    wheel: Path | None

    @property
    def output(self) -> str:
        """All that the front end printed."""
        return f"{self.stdout}\n{self.stderr}".strip()

    def expect_wheel(self) -> Path:
        """Return the wheel.

        Raises:
            AssertionError: If the build failed, with all that it printed.
        """
        assert self.returncode == 0, self.output
        assert self.wheel is not None, self.output
        return self.wheel


def build_wheel(
    project: Path,
    out: Path,
    *,
    env: Mapping[str, str] | None = None,
    installer: Literal["uv", "pip"] = "uv",
) -> BuildResult:
    """Run `python -m build --wheel` on a project.

    Args:
        project: Where the project is.
        out: A folder for the wheel, without wheels and outside the project.
        env: Variables to add to the environment of the test run.
        installer: What installs the build environment; pip stands in where there is no uv.
    """
    variables = base_environment() | dict(env or {})
    uv = find_uv()
    if uv:
        # The front end looks for it on the search path, on which the scripts of an environment
        # that nobody activated are not.
        variables["PATH"] = os.pathsep.join([str(Path(uv).parent), variables.get("PATH", "")])
    options = ["--wheel", "--installer", installer if uv else "pip", "--outdir", str(out)]
    result = run([front_ends(), "-m", "build", *options, project], env=variables)
    wheels = sorted(out.glob("*.whl"))
    return BuildResult(
        returncode=result.returncode,
        stdout=result.stdout,
        stderr=result.stderr,
        wheel=wheels[0] if len(wheels) == 1 else None,
    )


def front_ends() -> Path:
    """Return the interpreter of an environment that has the front ends."""
    return kept_environment(*FRONT_ENDS)


@cache
def kept_environment(*requirements: str, python: str = sys.executable) -> Path:
    """Return the interpreter of an environment that has `requirements`.

    The environment is kept between test runs. It is made beside its place and then renamed, so
    that of several test processes that miss it one wins and none sees half of it.

    Args:
        requirements: What to install into it.
        python: The interpreter that it is for; that of the tests by default.
    """
    wanted = "\n".join(["relocatable", *requirements, sys.version, python])
    place = CACHE / f"environment-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if not place.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = make_venv(Path(folder, "venv"), python)
            install(made, *requirements)
            try:
                made.parents[1].rename(place)
            except OSError:
                assert place.exists()
    return place / "bin" / "python"
