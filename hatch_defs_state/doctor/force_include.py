"""Folders that hatchling is told to include though it selects them anyway.

Hatchling then ends the build with "A second file is being added to the wheel archive at the same
path".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pathspec

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.git_ignore import ignore_file
from hatch_defs_state.doctor.subject import Subject, files_in, read_text
from hatch_defs_state.project import default_import_roots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "force-include"
_TABLES = (
    ("tool", "hatch", "build", "targets", "wheel", "force-include"),
    ("tool", "hatch", "build", "force-include"),
)


def check(subject: Subject) -> Iterator[Finding]:
    """Find entries that add a folder at the place where its files land without them."""
    if not subject.is_hatchling:
        return
    table = next((path for path in _TABLES if subject.table(*path)), None)
    if table is None:
        return
    for source, target in subject.table(*table).items():
        folder = subject.root / source
        place = str(target).strip("/")
        if not folder.is_dir() or place not in _places(subject, folder):
            continue
        doubled = next((file for file in files_in(folder) if _is_selected(subject, file)), None)
        if doubled is not None:
            yield Finding(
                CODE,
                Severity.PROBLEM,
                f"the folder {source} is in wheels twice, and their builds fail: "
                f"{subject.show(doubled)} is selected, and included by force",
                f'remove "{source}" = "{target}"; what is below it stays in the wheel',
                subject.line(*table, source, containing=source),
            )


def _places(subject: Subject, folder: Path) -> set[str]:
    """Return where in a wheel hatchling's own selection puts the content of `folder`."""
    target = subject.table("tool", "hatch", "build", "targets", "wheel")
    options = {**subject.table("tool", "hatch", "build"), **target}
    selected = [str(path).strip("/") for path in options.get("packages", ())]
    roots = [(subject.root / path).parent for path in selected] or list(
        default_import_roots(subject.config)
    )
    tops = [subject.root / path for path in selected] or [
        root / folder.relative_to(root).parts[0]
        for root in roots
        if folder.is_relative_to(root) and folder != root
    ]
    return {folder.relative_to(top.parent).as_posix() for top in tops if folder.is_relative_to(top)}


def _is_selected(subject: Subject, file: Path) -> bool:
    ignore = ignore_file(subject)
    if ignore is None:
        return True
    spec = pathspec.GitIgnoreSpec.from_lines(read_text(ignore).splitlines())
    return not spec.match_file(file.relative_to(ignore.parent))
