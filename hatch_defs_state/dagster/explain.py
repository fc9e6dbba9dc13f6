"""Dagster's exceptions as errors of ours: the cause in one line, at its place in the file."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.dagster.declared import relative
from hatch_defs_state.errors import ComponentError, DefsStateError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENRICHED = re.compile(r"^(?P<path>.+) at (?P<file>.+):(?P<line>\d+)$")
"""How Dagster names the place of an attribute in pydantic's errors."""


def cause(error: BaseException) -> str:
    """Return type and first line of the exception that everything began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return type(error).__name__ + (f": {lines[0]}" if lines else "")


def load_errors(
    component_name: str, location: SourceLocation, error: BaseException, root: Path
) -> list[DefsStateError]:
    """Explain why a component cannot be loaded.

    Args:
        component_name: Name of its class.
        location: Where it is declared.
        error: What loading it raised.
        root: The project's root.

    Returns:
        One error for every attribute that pydantic complains about, else one.
    """
    for link in _chain(error):
        details = getattr(link, "errors", None)
        if type(link).__name__ == "ValidationError" and callable(details):
            return [_attribute_error(component_name, location, d, root) for d in details()]
    return [ComponentError(f"{component_name} cannot be loaded: {cause(error)}", location=location)]


def _attribute_error(
    component_name: str,
    location: SourceLocation,
    detail: dict[str, Any],
    root: Path,
) -> DefsStateError:
    parts = [str(part) for part in detail["loc"]]
    match = _ENRICHED.match(parts[0]) if parts else None
    if match:
        parts = [match["path"], *parts[1:]]
        location = SourceLocation(relative(Path(match["file"]), root), int(match["line"]))
    return ComponentError(
        f"{component_name}: {'.'.join(parts)}: {detail['msg']}", location=location
    )


def file_error(path: Path, error: BaseException, root: Path) -> DefsStateError:
    """Explain why a file of components cannot be read."""
    file = relative(path, root)
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "no valid YAML"
        return ComponentError(
            f"not valid YAML: {problem}",
            location=SourceLocation(file, mark.line + 1, mark.column + 1),
        )
    if path.suffix == ".py":
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
        return ComponentError(
            f"importing it raised {cause(error)}",
            location=SourceLocation(file, lines[-1] if lines else None),
        )
    return ComponentError(cause(error), location=SourceLocation(file, _type_line(path)))


def _type_line(path: Path) -> int | None:
    """Return the line of the only `type:` of a file, where that is certain."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = [number for number, line in enumerate(lines, 1) if line.startswith("type:")]
    return found[0] if len(found) == 1 else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
