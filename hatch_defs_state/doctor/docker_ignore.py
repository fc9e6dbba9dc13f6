"""A `.dockerignore` that hides state which an image copies.

It does no harm where the image makes a wheel of the project: the hook adds the state there. It does
where the image uses the project's tree (`pip install -e`, no installation), where its build is
frozen, and where it copies the folder of `refresh --output`.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.doctor.dockerfiles import Copy, Dockerfile, dockerfiles_in, ignore_of
from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.errors import SourceLocation
from hatch_defs_state.storage.generation import FOLDER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.doctor.dockerfiles import Ignore
    from hatch_defs_state.doctor.subject import Subject

CODE = "dockerignore"


def check(subject: Subject) -> Iterator[Finding]:
    """Find lines of `.dockerignore` that keep state out of images."""
    if subject.state_folder is None:
        return
    told: set[tuple[Path, int]] = set()
    for context in subject.outer_folders:
        images: list[Dockerfile | None] = [*dockerfiles_in(context)]
        for image in images or [None]:
            ignore = ignore_of(image.path if image else None, context)
            if ignore is None:
                continue
            for path, severity in _needed(subject, image, context):
                number = ignore.hiding(path)
                if number is not None and (ignore.path, number) not in told:
                    told.add((ignore.path, number))
                    yield _finding(subject, ignore, number, path, image, severity)


def _finding(
    subject: Subject,
    ignore: Ignore,
    number: int,
    path: str,
    image: Dockerfile | None,
    severity: Severity,
) -> Finding:
    line = ignore.lines[number - 1].strip()
    user = f"the image of {subject.show(image.path)}" if image else "images that copy the tree"
    parts = path.split("/")
    kept = "/".join(parts[: parts.index(FOLDER_NAME) + 1]) if FOLDER_NAME in parts else parts[0]
    return Finding(
        CODE,
        severity,
        f"{line} keeps {path} from {user}",
        f"remove the line {line}, or add the line !{kept} at the end",
        SourceLocation(subject.show(ignore.path), number),
    )


def _needed(
    subject: Subject, image: Dockerfile | None, context: Path
) -> Iterator[tuple[str, Severity]]:
    """Yield the files of state that an image needs of its context, and how sure that is."""
    in_tree = [path.relative_to(context).as_posix() for path in subject.state_files]
    if image is None:
        if context == subject.root:
            yield from ((path, Severity.ADVICE) for path in in_tree)
        return
    placed = [copy for copy in image.copies if _places_state(copy)]
    for copy in placed:
        files = subject.typical_files(Path(copy.source))
        yield from ((path.as_posix(), Severity.PROBLEM) for path in files)
    if placed or (image.builds and not subject.is_frozen):
        return
    for path in in_tree:
        if any(_takes(copy, path) for copy in image.copies):
            yield path, Severity.PROBLEM


def _places_state(copy: Copy) -> bool:
    return posixpath.basename(copy.target.rstrip("/")) == FOLDER_NAME


def _takes(copy: Copy, path: str) -> bool:
    return not copy.source or path == copy.source or path.startswith(f"{copy.source}/")
