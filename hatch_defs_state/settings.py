"""One model for every place that configures us: TOML tables, environment, command line.

Every field of `Settings` declares how its value is read; TOML paths, environment variables,
options and help texts are derived from the fields. The command line wins over the environment, and
that over the file.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import DefsStateError, SettingsError, raise_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENVIRONMENT_PREFIX = "DEFS_STATE_"

DEFAULT_EXCLUDE = (
    ".git",
    ".venv/",
    "__pycache__/",
    ".env",
    "/project/logs/",
    "dbt.log*",
    "partial_parse.msgpack",
    "*.concurrent-update-lock",
)
"""Git repositories (their config may hold a token), environments, caches, secrets, and what dbt
leaves in a project that is bound to the machine where it ran."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class _Kind:
    """How one kind of value is read: `accepts` names it, `parse` raises `ValueError`."""

    accepts: str
    parse: Callable[[object], Any]
    from_text: Callable[[str], object] = str


def _parse_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _parse_strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the caller reports ValueError with the TOML path
    return tuple(_parse_text(item) for item in value)


def _parse_whole(minimum: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError
        return value

    return parse


def parse_duration(value: object) -> float:
    """Return the seconds in a text such as `90s`, `10m`, `24h` or `7d`.

    Raises:
        ValueError: `value` is no such text, or not above zero.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or not float(match[1]):
        raise ValueError
    return float(match[1]) * _SECONDS[match[2]]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_TEXT = _Kind("a text", _parse_text)
_STRINGS = _Kind("an array of texts", _parse_strings, _split)
_DURATIONS = _Kind('a duration such as "90s", "10m" or "24h"', parse_duration)


def _whole(minimum: int) -> _Kind:
    return _Kind(f"a whole number of at least {minimum}", _parse_whole(minimum), int)


def _setting(kind: _Kind, default: object, help_text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True)
class Settings:
    """What a user can configure; see the `help` of each field."""

    defs_module: str | None = _setting(
        _TEXT, None, "dotted name of the module whose folder holds the components"
    )
    jobs: int = _setting(_whole(1), 8, "how many writers run at a time")
    timeout: float = _setting(_DURATIONS, 600.0, "how long one writer may run")
    retries: int = _setting(_whole(0), 0, "how often a failed writer is run again")
    exclude: tuple[str, ...] = _setting(
        _STRINGS,
        DEFAULT_EXCLUDE,
        "patterns, as in .gitignore, of files inside state folders that never ship; "
        "replaces the default list",
    )
    features: tuple[str, ...] = _setting(
        _STRINGS, (), "extras of the project that writers need in the build environment"
    )
    groups: tuple[str, ...] = _setting(
        _STRINGS, (), "dependency groups that writers need in the build environment"
    )


def option_name(field_name: str) -> str:
    """Return the kebab-case name of a field: in TOML, and after `--` on the command line."""
    return field_name.replace("_", "-")


def parse_table(table: Mapping[str, object], toml_path: str, file: str) -> dict[str, Any]:
    """Read a TOML table.

    Args:
        table: The table, without keys that belong to others.
        toml_path: Dotted path of the table, for errors.
        file: Name of the file, for errors.

    Returns:
        Values by field name.

    Raises:
        DefsStateError: All unknown keys and ill-typed values.
    """
    known = {option_name(f.name): f for f in fields(Settings)}
    values: dict[str, Any] = {}
    errors: list[DefsStateError] = []
    for name, value in table.items():
        where = f"{file}: {toml_path}.{name}"
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            also = f"; did you mean {close[0]!r}?" if close else ""
            errors.append(
                SettingsError(
                    f"{where}: unknown setting{also}", hint=f"known are {', '.join(sorted(known))}"
                )
            )
            continue
        kind: _Kind = known[name].metadata["kind"]
        try:
            values[known[name].name] = kind.parse(value)
        except ValueError:
            errors.append(SettingsError(f"{where}: expected {kind.accepts}, got {value!r}"))
    raise_all(errors)
    return values


def parse_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the variables `DEFS_STATE_<NAME>`; lists are separated by commas.

    Raises:
        DefsStateError: All ill-typed values. Unknown variables are left alone: other parts of the
            project and of its tools may use the prefix.
    """
    texts = {
        f.name: environment[name]
        for f in fields(Settings)
        if (name := ENVIRONMENT_PREFIX + f.name.upper()) in environment
    }
    return parse_texts(texts, lambda name: f"environment: {ENVIRONMENT_PREFIX}{name.upper()}")


def parse_texts(texts: Mapping[str, str], where: Callable[[str], str]) -> dict[str, Any]:
    """Read values that are given as text.

    Args:
        texts: Texts by field name.
        where: Names the place of a field in errors.

    Raises:
        DefsStateError: All ill-typed values.
    """
    kinds: dict[str, _Kind] = {f.name: f.metadata["kind"] for f in fields(Settings)}
    values: dict[str, Any] = {}
    errors: list[DefsStateError] = []
    for name, text in texts.items():
        kind = kinds[name]
        try:
            values[name] = kind.parse(kind.from_text(text))
        except ValueError:
            errors.append(SettingsError(f"{where(name)}: expected {kind.accepts}, got {text!r}"))
    raise_all(errors)
    return values


def parse_options(options: Mapping[str, str | None]) -> dict[str, Any]:
    """Read options of the command line, by field name; `None` stands for one that is not given.

    Raises:
        DefsStateError: All ill-typed values.
    """
    given = {name: text for name, text in options.items() if text is not None}
    return parse_texts(given, lambda name: f"--{option_name(name)}")


def gather(*layers: Callable[[], Mapping[str, Any]]) -> Settings:
    """Read all layers and return their settings, later ones winning over earlier ones.

    Raises:
        DefsStateError: What is wrong in any of the layers.
    """
    settings = Settings()
    errors: list[DefsStateError] = []
    for layer in layers:
        try:
            settings = replace(settings, **layer())
        except DefsStateError as error:
            errors.append(error)
    raise_all(errors)
    return settings
