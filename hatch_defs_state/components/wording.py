"""How errors call values, types and names."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from pathlib import PurePath

_SCALARS: Mapping[object, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    types.NoneType: "null",
}


def shorten(text: str, limit: int = 40) -> str:
    """Return `text` on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` when `known` has a name like `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def name_value(value: object) -> str:
    """Return what a value of a YAML document is called."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {shorten(value)!r}"
    if isinstance(value, int):
        return f"the integer {shorten(str(value))}"
    if isinstance(value, float):
        return f"the number {value}"
    if value is None:
        return "null"
    return "a list" if isinstance(value, list) else "a mapping"


def name_type(annotation: object) -> str:
    """Return what is expected where `annotation` stands, with its article."""
    annotation = getattr(annotation, "__supertype__", annotation)
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(name_type(argument) for argument in arguments))
    if origin is typing.Literal:
        return _one_of(arguments)
    if not isinstance(origin, type):
        return "a value"
    if issubclass(origin, Enum):
        return _one_of([member.value for member in origin])
    if origin in _SCALARS:
        return _SCALARS[origin]
    if issubclass(origin, PurePath):
        return "a path"
    if is_dataclass(origin) or issubclass(origin, Mapping):
        return "a mapping"
    return "a list" if issubclass(origin, Iterable) else "a value"


def _one_of(options: Sequence[object]) -> str:
    names = [_spell(option) for option in options]
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _spell(option: object) -> str:
    return name_value(option) if option is None or isinstance(option, bool) else repr(option)
