"""State that git tracks: every checkout brings it back, however old it is."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.errors import SourceLocation
from hatch_defs_state.storage.generation import FOLDER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.doctor.subject import Subject

CODE = "tracked-state"


def check(subject: Subject) -> Iterator[Finding]:
    """Find files of state in git's index, unless builds are to use them."""
    if subject.is_frozen:
        return
    for folder in sorted({_folder(path) for path in _tracked(subject)}):
        yield Finding(
            CODE,
            Severity.ADVICE,
            f"git tracks {folder}: checkouts, and what is copied from them, have old state",
            f"run git rm -r --cached {folder}",
            SourceLocation(folder),
        )


def _tracked(subject: Subject) -> list[str]:
    git = shutil.which("git")
    if git is None or not (subject.repository / ".git").exists():
        return []
    command = [git, "ls-files", "-z", "--", f":(glob)**/{FOLDER_NAME}/**"]
    try:
        result = subprocess.run(
            command, cwd=subject.root, capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [name for name in result.stdout.decode(errors="replace").split("\0") if name]


def _folder(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[: parts.index(FOLDER_NAME) + 1])
