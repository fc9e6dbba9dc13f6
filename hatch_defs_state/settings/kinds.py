"""How single values of settings are read, and what they are called in errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_LONGEST_SECONDS = 10 * 366 * 86400.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Kind:
    """How one kind of value is read.

    Attributes:
        accepts: What is accepted, for errors.
        parse: Returns the value; raises `ValueError` for anything else.
        from_text: Makes of a text what TOML would have; may raise `ValueError`.
    """

    accepts: str
    parse: Callable[[object], Any]
    from_text: Callable[[str], object] = str


def parse_duration(value: object) -> float:
    """Return the seconds in a text such as `90s`, `10m`, `24h` or `7d`.

    Raises:
        ValueError: `value` is no such text, not above zero, or longer than ten years.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError
    return seconds


def _parse_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _parse_module(value: object) -> str:
    text = _parse_text(value)
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError
    return text


def _parse_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the caller reports ValueError with the TOML path
    return tuple(_parse_text(item) for item in value)


def _parse_part(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - the caller reports ValueError with the TOML path
    return value


def _flag_from_text(text: str) -> bool:
    named = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return named[text.strip().lower()]
    except KeyError:
        raise ValueError from None


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


MODULE = Kind("the dotted name of a module", _parse_module)


def _parse_globs(value: object) -> tuple[str, ...]:
    globs = _parse_texts(value)
    # `pathlib` looks for relative ones only.
    if any(PurePosixPath(glob).is_absolute() or PureWindowsPath(glob).anchor for glob in globs):
        raise ValueError
    return globs


TEXTS = Kind("an array of texts", _parse_texts, _split)
GLOBS = Kind("an array of globs relative to the project", _parse_globs, _split)
DURATION = Kind('a duration such as "90s", "10m" or "24h"', parse_duration)
TEXT = Kind("a text", _parse_text)
FLAG = Kind("true or false", _parse_flag, _flag_from_text)
PART = Kind("a number from 0 to 1", _parse_part, float)


def whole(minimum: int) -> Kind:
    """Return the kind of whole numbers from `minimum` on."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError
        return value

    return Kind(f"a whole number of at least {minimum}", parse, int)


def one_of(*names: str) -> Kind:
    """Return the kind of values that are one of `names`."""

    def parse(value: object) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    quoted = [f'"{name}"' for name in names]
    return Kind(" or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]])), parse)
