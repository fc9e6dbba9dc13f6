"""Running code of the project: whatever it raises becomes an error of ours."""

from __future__ import annotations

import functools
import os
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.errors import SourceLocation


@contextmanager
def project_code(
    what: str, location: SourceLocation | None, project_root: Path | None
) -> Iterator[None]:
    """Turn what a block raises into an error; only `KeyboardInterrupt` passes.

    Args:
        what: The subject of the error's sentence.
        location: Where the project asked for the code to be run.
        project_root: The folder whose lines the error may point to, if any.

    Raises:
        ComponentError: The block raised something, `SystemExit` included.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        summary, output = describe(error)
        place = _last_line_within(project_root, error) if project_root else None
        raise ComponentError(
            f"{what} raised {summary}",
            location=location,
            hint=f"see {place}" if place else None,
            output=output,
        ) from error


def describe(error: BaseException) -> tuple[str, str | None]:
    """Return type and first line of an exception, and its whole text where that says more."""
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    first, _, rest = text.partition("\n")
    name = type(error).__name__
    return f"{name}: {first.rstrip()}" if first else name, text if rest else None


def display_path(path: Path, project_root: Path) -> str:
    """Return how errors and locations call a file.

    Links are followed first, so that a tree of links leads back to the project's own files.

    Returns:
        The path relative to the project's root with forward slashes; absolute when outside it.
    """
    real, root = Path(os.path.realpath(path)), _real_root(project_root)
    return (real.relative_to(root) if real.is_relative_to(root) else real).as_posix()


@functools.cache
def _real_root(project_root: Path) -> Path:
    # Asked for with every file of the project.
    return Path(os.path.realpath(project_root))


def _last_line_within(project_root: Path, error: BaseException) -> str | None:
    lines = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append((error.filename, error.lineno))
    for filename, line in reversed(lines):
        place = Path(display_path(Path(filename), project_root))
        if not place.is_absolute() and "site-packages" not in place.parts:
            return f"{place.as_posix()}:{line}"
    return None
