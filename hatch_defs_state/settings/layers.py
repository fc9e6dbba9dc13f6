"""Where settings come from, and what is wrong with what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.wording import did_you_mean
from hatch_defs_state.errors import DefsStateError, OptionError, SettingsError, raise_all
from hatch_defs_state.settings.model import KeySettings, Settings, option_name, readable_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENVIRONMENT_PREFIX = "DEFS_STATE_"
DEV_VARIABLE = "DEFS_STATE_DEV"
"""Says that code locations are loaded for development; true or false."""
_COMPONENTS = "components"


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
    errors: list[DefsStateError] = []
    rest = {name: value for name, value in table.items() if name != _COMPONENTS}
    values = _read(rest, Settings, f"{file}: {toml_path}", errors, also=(_COMPONENTS,))
    if _COMPONENTS in table:
        where = f"{file}: {toml_path}.{_COMPONENTS}"
        values[_COMPONENTS] = _read_components(table[_COMPONENTS], where, errors)
    raise_all(errors)
    return values


def _read_components(
    tables: object, where: str, errors: list[DefsStateError]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for glob, table in (tables if isinstance(tables, dict) else {"": tables}).items():
        place = f'{where}."{glob}"' if glob else where
        if isinstance(table, dict):
            found[glob] = _read(table, KeySettings, place, errors)
        else:
            errors.append(SettingsError(f"{place}: expected a table, got {table!r}"))
    return found


def _read(
    table: Mapping[str, object],
    model: type,
    where: str,
    errors: list[DefsStateError],
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    known = readable_fields(model)
    names = sorted({*known, *also})
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            guess = did_you_mean(name, names)
            errors.append(
                SettingsError(
                    f"{where}.{name}: unknown setting{guess}", hint=f"known are {', '.join(names)}"
                )
            )
            continue
        field_name, kind, _ = known[name]
        try:
            values[field_name] = kind.parse(value)
        except ValueError:
            errors.append(SettingsError(f"{where}.{name}: expected {kind.accepts}, got {value!r}"))
    return values


def parse_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the variables `DEFS_STATE_<NAME>`; lists are separated by commas, empty ones ignored.

    Raises:
        DefsStateError: All ill-typed values. Unknown variables are left alone: other parts of the
            project and of its tools may use the prefix.
    """
    texts = {
        field_name: environment[name]
        for field_name, _, _ in readable_fields(Settings).values()
        if environment.get(name := ENVIRONMENT_PREFIX + field_name.upper())
    }
    return _parse_texts(texts, lambda name: f"environment: {ENVIRONMENT_PREFIX}{name.upper()}")


def parse_options(options: Mapping[str, str | None]) -> dict[str, Any]:
    """Read options of the command line, by field name; `None` stands for one that is not given.

    Raises:
        DefsStateError: All ill-typed values.
    """
    given = {name: text for name, text in options.items() if text is not None}
    return _parse_texts(given, lambda name: f"--{option_name(name)}", OptionError)


def _parse_texts(
    texts: Mapping[str, str],
    where: Callable[[str], str],
    error_type: type[SettingsError] = SettingsError,
) -> dict[str, Any]:
    known = {name: kind for name, kind, _ in readable_fields(Settings).values()}
    values: dict[str, Any] = {}
    errors: list[DefsStateError] = []
    for name, text in texts.items():
        try:
            values[name] = known[name].parse(known[name].from_text(text))
        except ValueError:
            errors.append(
                error_type(f"{where(name)}: expected {known[name].accepts}, got {text!r}")
            )
    raise_all(errors)
    return values


def gather(*layers: Callable[[], Mapping[str, Any]]) -> Settings:
    """Read all layers and return their settings, later ones winning over earlier ones.

    Raises:
        DefsStateError: What is wrong in any of the layers, or contradicts itself.
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
