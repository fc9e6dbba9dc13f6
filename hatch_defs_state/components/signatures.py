"""What a class accepts: the parameters of its constructor with their types."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from dataclasses import InitVar, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.project_code import describe
from hatch_defs_state.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.errors import SourceLocation

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Parameter:
    """One attribute that a class accepts.

    Attributes:
        name: Its name.
        annotation: Its type, resolved; `Any` when the class gives none.
        required: Whether it has no default.
    """

    name: str
    annotation: object
    required: bool


def parameters_of(cls: type, location: SourceLocation) -> Mapping[str, Parameter]:
    """Return what the constructor of `cls` accepts by name: the fields of a dataclass, mostly.

    Args:
        cls: The class.
        location: Where the project names the class, for errors.

    Raises:
        ComponentError: The class has no readable signature, or a type in it cannot be resolved.
    """
    try:
        signature = _signature(cls)
    except (ValueError, TypeError) as error:
        message = f"{cls.__name__} does not tell which attributes it accepts"
        raise ComponentError(message, location=location) from error
    named = [p for p in signature.parameters.values() if p.kind in _NAMED]
    types = _types_of(cls, frozenset(p.name for p in named), location)
    return {
        p.name: Parameter(p.name, types.get(p.name, Any), p.default is inspect.Parameter.empty)
        for p in named
    }


@functools.cache
def _signature(cls: type) -> inspect.Signature:
    return inspect.signature(cls)


def _types_of(cls: type, names: frozenset[str], location: SourceLocation) -> dict[str, Any]:
    try:
        if is_dataclass(cls) and names <= cls.__dataclass_fields__.keys():
            return _field_types(cls, names)
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception as error:
        raise ComponentError(
            f"the types of {cls.__name__} cannot be resolved: {describe(error)[0]}",
            location=location,
            hint=f"import them in {cls.__module__} outside of `if TYPE_CHECKING:`",
        ) from error


@functools.cache
def _field_types(cls: type, names: frozenset[str]) -> dict[str, Any]:
    """Return the types of fields, each resolved in the module of the class that declares it.

    `typing.get_type_hints(cls)` would resolve all that is annotated: what only type checkers need,
    and on Python 3.10 the marker `KW_ONLY`, at which it fails.
    """
    types: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        declared = {n: t for n, t in inspect.get_annotations(base).items() if n in names}
        holder = type(base.__name__, (), {"__annotations__": declared})
        parameters = {p.__name__: p for p in getattr(base, "__type_params__", ())}
        module = getattr(sys.modules.get(base.__module__), "__dict__", {})
        # The module goes before the class, in which `date: date = None` means its default.
        types.update(typing.get_type_hints(holder, dict(vars(base)), {**module, **parameters}))
    return {name: t.type if isinstance(t, InitVar) else t for name, t in types.items()}
