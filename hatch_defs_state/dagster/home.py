"""Where versioned state is kept, as the settings or `dagster.yaml` in `DAGSTER_HOME` say it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import SettingsError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.versioned import VersionedStorage

_OURS = ("hatch_defs_state.dagster", "VersionedDefsStateStorage")
_TABLE = "defs_state_storage"


def configured_store(
    settings: Settings, root: Path, environment: Mapping[str, str] = os.environ
) -> VersionedStorage:
    """Return the store of a project, without reading from it.

    Args:
        settings: `store` names it; a path is relative to `root`.
        root: The project's root.
        environment: Where it is not set, `DAGSTER_HOME` leads to the `dagster.yaml` that names it.

    Raises:
        SettingsError: It is not set, or not in a way that is understood.
    """
    from hatch_defs_state.storage.versioned import VersionedStorage

    if settings.store:
        return VersionedStorage(_absolute(settings.store, root))
    home = environment.get("DAGSTER_HOME")
    storage = _of_home(Path(home), environment) if home else None
    if storage is None:
        raise SettingsError(
            "where versioned state is kept is not known",
            hint="set `store` (DEFS_STATE_STORE, --store) to a folder or the URL of an object "
            "store, or DAGSTER_HOME to the folder of a dagster.yaml that names it",
        )
    return storage


def _absolute(store: str, root: Path) -> str:
    return store if "://" in store else str(root / store)


def _of_home(home: Path, environment: Mapping[str, str]) -> VersionedStorage | None:
    import yaml

    from hatch_defs_state.storage.versioned import VersionedStorage

    file = home / "dagster.yaml"
    place = SourceLocation(str(file))
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"it cannot be read: {error}", location=place) from None
    table = document.get(_TABLE) if isinstance(document, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict) or (table.get("module"), table.get("class")) != _OURS:
        raise SettingsError(
            f"{_TABLE} is not {_OURS[0]}.{_OURS[1]}: what is current there is known to the "
            "database of the instance alone",
            location=place,
            hint="use that class, or name a store with --store",
        )
    config = table.get("config")
    if not isinstance(config, dict) or "base" not in config:
        raise SettingsError(f"{_TABLE}.config.base is missing", location=place)
    base = _text(config["base"], environment, place)
    options = config.get("options") or {}
    return VersionedStorage(base, options=options)


def _text(value: Any, environment: Mapping[str, str], place: SourceLocation) -> str:
    """Return what a `StringSource` of Dagster's configuration stands for."""
    if isinstance(value, dict) and set(value) == {"env"}:
        name = str(value["env"])
        if name not in environment:
            raise SettingsError(f"the environment variable {name} is not set", location=place)
        return environment[name]
    if not isinstance(value, str):
        raise SettingsError(f"{_TABLE}.config.base: expected text, got {value!r}", location=place)
    return value
