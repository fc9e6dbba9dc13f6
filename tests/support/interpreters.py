"""An interpreter that a user without any rights can run."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the standard library brings that no program under test imports; it is most of its size.
_UNUSED: Final = shutil.ignore_patterns(
    "site-packages", "test", "tests", "idlelib", "turtledemo", "config-*", "pkgconfig", "*.a"
)


@dataclass(frozen=True)
class Interpreter:
    """An interpreter, and what its processes need in their environment.

    Attributes:
        executable: Its path.
        environment: Variables that every process of it needs.
    """

    executable: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def public_interpreter(folder: Path) -> Interpreter:
    """Return an interpreter of this version that every user can run.

    Interpreters that root installed with a version manager are in root's home, where nobody else
    can reach them; such a one is copied.

    Args:
        folder: Where a copy may be put; every user can reach it.
    """
    base = Path(sys.base_prefix).resolve()
    executable = base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if os.geteuid() != 0 or _open_to_all(executable):
        return Interpreter(executable)
    copy = folder / "interpreter"
    if not copy.exists():
        (copy / "bin").mkdir(parents=True)
        shutil.copy2(executable, copy / "bin")
        shutil.copytree(base / "lib", copy / "lib", symlinks=True, ignore=_UNUSED)
    # A shared libpython is looked up where the interpreter was installed, which is out of reach.
    return Interpreter(copy / "bin" / executable.name, {"LD_LIBRARY_PATH": str(copy / "lib")})


def other_python() -> Path:
    """Return an interpreter of another minor version than that of the tests, 3.10 or newer.

    Version managers keep them side by side; the test is skipped where there is none.
    """
    places = Path(sys.base_prefix).resolve().parent
    for minor in (12, 13, 11, 10, 14):
        if minor == sys.version_info.minor:
            continue
        found = sorted(places.glob(f"*3.{minor}*/bin/python3.{minor}"))
        on_path = shutil.which(f"python3.{minor}", path=os.defpath)
        if found or on_path:
            return found[0] if found else Path(str(on_path))
    pytest.skip("there is one version of Python only")


def _open_to_all(path: Path) -> bool:
    """Tell whether every user may go through all the folders above `path`."""
    return all(stat.S_IMODE(parent.stat().st_mode) & stat.S_IXOTH for parent in path.parents)
