"""Versioned state in artifacts: which versions they pin, and the content that they bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, SettingsError, StateError, raise_all
from hatch_defs_state.settings.model import Settings, option_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest, Pinned, bundled_folder
from hatch_defs_state.storage.urls import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_defs_state.storage.generation import Generation
    from hatch_defs_state.storage.versioned import VersionedStorage

_AT_RUN_TIME = ("store", "offline", "allow_missing")
"""Settings that apply where an artifact loads, and not only where it is built."""


def for_loading(manifest: Manifest, settings: Settings) -> Manifest:
    """Return the manifest with the settings that apply wherever the artifact loads."""
    default = Settings()
    chosen: dict[str, Any] = {
        option_name(name): _as_json(getattr(settings, name))
        for name in _AT_RUN_TIME
        if getattr(settings, name) != getattr(default, name)
    }
    if settings.store is not None:
        chosen["store"] = without_credentials(settings.store)
    return replace(manifest, settings=chosen) if chosen else manifest


def pin_versioned(
    generation: Generation,
    settings: Settings,
    scratch: Path,
    open_store: Callable[[], VersionedStorage],
) -> Generation:
    """Return a generation whose manifest names the current versions of versioned state.

    With `offline = "bundled"`, it holds their content as well.

    Args:
        generation: The generation of an artifact.
        settings: Say what is bundled.
        scratch: A folder for what is downloaded.
        open_store: Returns the versioned storage.

    Raises:
        DefsStateError: No store is set, it cannot be read, or it has no state of a key.
    """
    versioned = {
        key: entry
        for key, entry in generation.manifest.elsewhere.items()
        if entry.management_type is ManagementType.VERSIONED_STATE_STORAGE
    }
    if not versioned:
        return generation
    if settings.refresh == "frozen":
        raise SettingsError(
            "`pin-versioned` asks the store which versions are current, "
            '`refresh = "frozen"` forbids to ask anything',
            hint="build a source archive without `frozen` and the wheel from it, or choose one",
        )
    storage = open_store()
    head = storage.head()
    raise_all(
        _absent(key, entry, storage)
        for key, entry in versioned.items()
        if key not in head.versions and not settings.may_miss(key)
    )
    versions = {key: head.versions[key].version for key in versioned if key in head.versions}
    pinned = Pinned(_named(storage, settings), storage.lineage() or "", head.serial)
    entries = {key: replace(versioned[key], version=version) for key, version in versions.items()}
    files = dict(generation.files)
    if settings.offline == "bundled":
        folder = scratch / "versions"
        folder.mkdir()
        with storage.hold(versions):
            for key, content in storage.fetch_all(versions, folder).items():
                entries[key] = replace(entries[key], files=content.files)
        for key, entry in entries.items():
            own = bundled_folder(key)
            place = folder / own.rpartition("/")[2]
            files |= {f"{own}/{path}": place / path for path in entry.files}
    manifest = replace(
        generation.manifest, pinned=pinned, elsewhere={**generation.manifest.elsewhere, **entries}
    )
    return replace(generation, manifest=manifest, files=files)


def _absent(key: str, entry: KeyEntry, storage: VersionedStorage) -> DefsStateError:
    return StateError(
        f"{storage.url} has no state of this key to pin",
        key=key,
        location=entry.source,
        hint="run `defs-state refresh --management-type VERSIONED_STATE_STORAGE` first, or name "
        "the key in `allow-missing`",
    )


def _named(storage: VersionedStorage, settings: Settings) -> str:
    """Return the store's name in the manifest: as the user wrote it, without credentials.

    A path is not made absolute; it would be one of the machine that builds.
    """
    return without_credentials(settings.store) if settings.store else storage.url


def _as_json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
