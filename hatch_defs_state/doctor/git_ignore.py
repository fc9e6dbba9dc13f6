"""A `.gitignore` that keeps state out of wheels which hatchling builds without the hook.

With the hook, or the plugin, state is in the wheel whatever git ignores. Hatchling reads the
nearest `.gitignore` at or above the project's root, up to the repository's, and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pathspec

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import Subject, read_text
from hatch_defs_state.errors import SourceLocation
from hatch_defs_state.tables import HOOK_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "gitignore"


def check(subject: Subject) -> Iterator[Finding]:
    """Find lines of `.gitignore` that hide state from a build."""
    file = ignore_file(subject)
    if file is None or not subject.is_hatchling or subject.has_hook or subject.state_folder is None:
        return
    lines = dict(enumerate(read_text(file).splitlines(), start=1))
    said = [number for number, line in lines.items() if line]
    spec = pathspec.GitIgnoreSpec.from_lines(lines[number] for number in said)
    hidden: dict[int, Path] = {}
    for path in subject.state_files:
        result = spec.check_file(path.relative_to(file.parent))
        if result.include and result.index is not None:
            hidden.setdefault(said[result.index], path)
    for number, path in sorted(hidden.items()):
        yield Finding(
            CODE,
            Severity.PROBLEM,
            f"{lines[number].strip()} hides {subject.show(path)} from wheels",
            f"add the line [{HOOK_TABLE}] to pyproject.toml; "
            "the hook adds state whatever git ignores",
            SourceLocation(subject.show(file), number),
        )


def ignore_file(subject: Subject) -> Path | None:
    """Return the one `.gitignore` that hatchling reads."""
    files = (folder / ".gitignore" for folder in subject.outer_folders)
    return next((file for file in files if file.is_file()), None)
