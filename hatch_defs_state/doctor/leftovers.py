"""State in the tree that no refresh of now would leave there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import Subject, folders_in
from hatch_defs_state.errors import DefsStateError, SourceLocation, flatten
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.generation import FOLDER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "left-over-state"
_DEPTH = 8


def check(subject: Subject) -> Iterator[Finding]:
    """Find state that is not whole, in another folder than the project's, or left by a crash."""
    own = subject.state_folder
    if own is None:
        return
    if own.is_dir():
        yield from _unsound(subject, own)
    for folder in folders_in(subject.root, _DEPTH):
        for path in sorted(folder.glob(f"{FOLDER_NAME}*")):
            if path.is_dir() and path.resolve() != own.resolve():
                yield _elsewhere(subject, path, own)


def _unsound(subject: Subject, folder: Path) -> Iterator[Finding]:
    try:
        generations.read(folder)
    except DefsStateError as error:
        first, *others = flatten([error])
        more = f", and {len(others)} more" if others else ""
        yield Finding(
            CODE,
            Severity.PROBLEM if subject.is_frozen else Severity.ADVICE,
            f"the state in the tree is not what one refresh wrote: {first.message}{more}",
            "run `defs-state refresh`",
            SourceLocation(subject.show(folder)),
        )


def _elsewhere(subject: Subject, path: Path, own: Path) -> Finding:
    if path.name != FOLDER_NAME and path.parent == own.parent:
        message, fix = "an interrupted refresh left this", "run `defs-state refresh`"
    else:
        message = f"this is no state of the project, which has it in {subject.show(own)}"
        fix = f"remove {subject.show(path)}"
    return Finding(CODE, Severity.ADVICE, message, fix, SourceLocation(subject.show(path)))
