"""Clean environments to install artifacts into, and strangers who run what is installed."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.commands import install, make_venv, run
from tests.support.interpreters import public_interpreter

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence

STRANGER: Final = 65534

# Copied, because a file that is linked to the package cache must not be made read-only; compiled,
# because whoever may not write there would otherwise compile everything at each start.
_INSTALL_OPTIONS: Final = ("--link-mode", "copy", "--compile-bytecode")


@contextmanager
def public_folder() -> Iterator[Path]:
    """Provide a temporary folder that every user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="defs-state-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            # What cannot be deleted at first makes some versions of Python change the mode of what
            # a link leads to: here, of the interpreter.
            for path, _, _ in os.walk(folder):
                Path(path).chmod(0o755)


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        root: Its folder.
        python: Its interpreter.
        variables: What its processes need in their environment.
    """

    root: Path
    python: Path
    variables: Mapping[str, str]

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return next(self.root.glob("lib/python*/site-packages"))

    def run(
        self, arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter as the owner of the environment, from an empty folder.

        Args:
            arguments: The interpreter's arguments.
            env: Variables to add to the otherwise bare environment.
        """
        return self._run(arguments, env or {}, user=None)

    def run_as_stranger(
        self, arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter as someone who owns nothing but a home and the empty folder around.

        That is another user when root runs the tests, since no permission stops root. For everybody
        else the permissions that `make_read_only` takes away are enough.

        Args:
            arguments: The interpreter's arguments.
            env: Variables to add to the otherwise bare environment.
        """
        return self._run(arguments, env or {}, user=STRANGER if os.geteuid() == 0 else None)

    def make_read_only(self) -> None:
        """Take away everybody's permission to write below the environment's folder."""
        for folder, _, names in os.walk(self.root, topdown=False):
            for path in [Path(folder, name) for name in names] + [Path(folder)]:
                if not path.is_symlink():
                    path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o555)

    def _run(
        self, arguments: Sequence[str | Path], env: Mapping[str, str], user: int | None
    ) -> subprocess.CompletedProcess[str]:
        with public_folder() as folder:
            empty, home = folder / "empty", folder / "home"
            for own in (empty, home):
                own.mkdir(mode=0o700)
                if user is not None:
                    os.chown(own, user, user)
            return run(
                [self.python, *arguments],
                cwd=empty,
                env={
                    "PATH": os.pathsep.join([str(self.python.parent), os.defpath]),
                    "HOME": str(home),
                    "TMPDIR": str(home),
                    "LANG": "C.UTF-8",
                    **self.variables,
                    **env,
                },
                user=user,
            )


def make_environment(folder: Path, *requirements: str | Path) -> Environment:
    """Make a virtual environment that every user can run.

    Args:
        folder: A folder that every user can reach; receives the environment.
        requirements: What to install into it: requirements, and paths of wheels.
    """
    interpreter = public_interpreter(folder)
    root = Path(tempfile.mkdtemp(prefix="venv-", dir=folder))
    root.chmod(0o755)
    python = make_venv(root, interpreter.executable, env=interpreter.environment)
    if requirements:
        install(python, *requirements, options=_INSTALL_OPTIONS, env=interpreter.environment)
    return Environment(root, python, interpreter.environment)
