"""What a child found in a project, as it tells the parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatch_defs_state import errors as error_types
from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.errors import DefsStateError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Loaded:
    """What a child found in the project.

    Attributes:
        declarations: All state-backed components; a writer is named by its position here.
        warnings: Full sentences about components that were left out without harm.
        versions: Versions of the asked-for distributions, and of Python, where the child runs.
    """

    declarations: tuple[ComponentDeclaration, ...]
    warnings: tuple[str, ...]
    versions: Mapping[str, str]

    @classmethod
    def parse(cls, message: Mapping[str, Any]) -> Loaded:
        """Read a child's answer to `load`.

        Raises:
            DefsStateError: Everything that is wrong with the components.
        """
        error_types.raise_all(_parse_error(error) for error in message["errors"])
        return cls(
            tuple(ComponentDeclaration.parse(data) for data in message["components"]),
            tuple(message["warnings"]),
            message["versions"],
        )


def _parse_error(data: Mapping[str, Any]) -> DefsStateError:
    kind = getattr(error_types, data["type"], DefsStateError)
    error: DefsStateError = kind(
        data["message"],
        key=data["key"],
        location=SourceLocation(*data["location"]) if data["location"] else None,
        hint=data["hint"],
        output=data["output"],
    )
    return error
