"""Scalars of a document as the type that a class wants."""

from __future__ import annotations

import re
from typing import Final

NOT_CONVERTIBLE: Final = object()
"""The value is not of the wanted type, and cannot stand for one."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def convert_scalar(value: object, wanted: type, *, is_text: bool) -> object:
    """Return `value` as a `str`, `int`, `float`, `bool` or `None`, or `NOT_CONVERTIBLE`.

    Args:
        value: What the document says.
        wanted: One of the five types.
        is_text: Whether the value came from a place that has nothing but text, such as an
            environment variable, so that a number or a boolean can be spelled in it.
    """
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return _to_float(value)
    if is_text and isinstance(value, str):
        return _from_text(value.strip(), wanted)
    return NOT_CONVERTIBLE


def _from_text(text: str, wanted: type) -> object:
    if wanted is bool:
        return _BOOLEANS.get(text.lower(), NOT_CONVERTIBLE)
    if wanted is int and _INTEGER.fullmatch(text):
        return int(text)
    return _to_float(text) if wanted is float else NOT_CONVERTIBLE


def _to_float(value: int | str) -> object:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return NOT_CONVERTIBLE
