"""Everything that a change has to pass: format, lint, types, tests.

Needs Python alone: makes `.venv` beside this checkout's files and installs into it what it needs.
Arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("pytest", "--numprocesses", "auto", "--durations", "10"),
)


def run(program: str, *arguments: str) -> None:
    """Run a program of the environment; end the script when it fails."""
    print(f"\n$ {' '.join([program, *arguments])}", flush=True)
    status = subprocess.run([PROGRAMS / program, *arguments], cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def main() -> None:
    """Set up the environment and run every check."""
    if not (PROGRAMS / "uv").exists():
        venv.create(ROOT / ".venv", with_pip=True, clear=True)
        run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    os.environ["VIRTUAL_ENV"] = str(ROOT / ".venv")
    run("uv", "pip", "install", "--quiet", "--editable", ".", "--group", "dev")
    for program, *arguments in CHECKS:
        more = sys.argv[1:] if program == "pytest" else []
        run(program, *arguments, *more)


if __name__ == "__main__":
    main()
