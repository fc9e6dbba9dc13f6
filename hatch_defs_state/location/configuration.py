"""What a code location is told: by its caller, the environment, the project, or its artifact."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.location.offline import impatient
from hatch_defs_state.project import file_settings
from hatch_defs_state.settings import kinds, layers
from hatch_defs_state.settings.model import option_name
from hatch_defs_state.storage.manifest import FILE_NAME
from hatch_defs_state.storage.versioned import VersionedStorage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hatch_defs_state.location.place import Place
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.manifest import Manifest


@dataclass(frozen=True)
class Given:
    """What a code location's caller says; `None` where it leaves that to others.

    Attributes:
        store: Where versioned state is: a path, a URL, or the storage itself.
        offline: What to load when the store cannot be reached.
        allow_missing: Globs of the keys that load without state when they have none.
        dev: Whether components that want it are refreshed before they load.
    """

    store: str | Path | VersionedStorage | None = None
    offline: str | None = None
    allow_missing: str | Sequence[str] | None = None
    dev: bool | None = None

    def table(self) -> dict[str, Any]:
        """Return the settings among them as a table of TOML has them."""
        globs = self.allow_missing
        values = {
            "store": None if isinstance(self.store, VersionedStorage) else self.store,
            "offline": self.offline,
            "allow_missing": [globs] if isinstance(globs, str) else globs,
        }
        return {
            option_name(name): str(value) if isinstance(value, Path) else value
            for name, value in values.items()
            if value is not None
        }


@dataclass(frozen=True)
class Configuration:
    """How a code location loads.

    Attributes:
        settings: Ours.
        storage: Where versioned state is; `None` when nobody says.
        dev: Whether components that want it are refreshed before they load.
    """

    settings: Settings
    storage: VersionedStorage | None
    dev: bool


def configure(place: Place, given: Given, manifest: Manifest | None) -> Configuration:
    """Gather what is said about a code location: first its caller, last its artifact.

    Args:
        place: Where it lies.
        given: What its caller says.
        manifest: The manifest of its artifact, if there is one.

    Raises:
        DefsStateError: Unknown or ill-typed values, in any of the places.
    """
    settings = layers.gather(
        lambda: _of_artifact(manifest),
        lambda: _of_project(place),
        lambda: layers.parse_environment(os.environ),
        lambda: layers.parse_table(given.table(), "arguments", "CodeLocation"),
    )
    return Configuration(settings, _open(place, given, settings), is_dev(given.dev))


def is_dev(given: bool | None = None) -> bool:
    """Whether this is development: as the caller says, else as `DEFS_STATE_DEV` does.

    Raises:
        SettingsError: The variable is neither true nor false.
    """
    if given is not None:
        return given
    text = os.environ.get(layers.DEV_VARIABLE) or "false"
    try:
        return bool(kinds.FLAG.parse(kinds.FLAG.from_text(text)))
    except ValueError:
        raise SettingsError(
            f"environment: {layers.DEV_VARIABLE}: expected {kinds.FLAG.accepts}, got {text!r}"
        ) from None


def _of_artifact(manifest: Manifest | None) -> Mapping[str, Any]:
    if manifest is None:
        return {}
    values = layers.parse_table(manifest.settings, "settings", FILE_NAME)
    return ({"store": manifest.pinned.store} if manifest.pinned else {}) | values


def _of_project(place: Place) -> Mapping[str, Any]:
    if place.config is None:
        return {}
    return file_settings(place.config)


def _open(place: Place, given: Given, settings: Settings) -> VersionedStorage | None:
    if isinstance(given.store, VersionedStorage):
        return given.store
    store = settings.store
    may_do_without = settings.offline != "fail"
    if store is None:
        return None
    if given.store is None and place.config is not None and "://" not in store:
        # A project says where its store is from its own place, wherever it is loaded from.
        store = str(place.root / store)
    return VersionedStorage(store, options=impatient(store) if may_do_without else None)
