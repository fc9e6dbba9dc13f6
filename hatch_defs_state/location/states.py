"""The state of every component of one load, each from where its management type keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import (
    DefsStateError,
    SettingsError,
    StateError,
    StoreUnavailableError,
    raise_all,
)
from hatch_defs_state.location import offline
from hatch_defs_state.location.pins import Pins
from hatch_defs_state.location.snapshots import Snapshots
from hatch_defs_state.location.versioned import VersionedState, read_head, read_pinned
from hatch_defs_state.storage.versioned import VersionedStorage
from hatch_defs_state.storage.versioned.versions import STATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from hatch_defs_state.components.declaration import LoadedComponent
    from hatch_defs_state.location.configuration import Configuration
    from hatch_defs_state.location.last_pinned import PinnedCommit
    from hatch_defs_state.location.local import LocalState
    from hatch_defs_state.location.place import Place
    from hatch_defs_state.location.version_cache import VersionCache


@dataclass(frozen=True)
class States:
    """The states of one load.

    Attributes:
        paths: For each key that has state what is handed to `build_defs_from_state`.
        pins: What was read, as a value for other processes.
        snapshots: Those among them that are in memory.
    """

    paths: Mapping[str, Path]
    pins: Pins
    snapshots: Snapshots


@dataclass(frozen=True)
class Gathering:
    """What is needed to get at the states of one load.

    Attributes:
        place: Where the code location is.
        configuration: How it loads.
        components: Its components by state key.
        local: Its local state.
        cache: Receives what is read.
        resources: Receives what has to be closed when the states are not needed any more.
    """

    place: Place
    configuration: Configuration
    components: Mapping[str, LoadedComponent]
    local: LocalState
    cache: VersionCache
    resources: ExitStack

    def newest(self, *, is_first: bool) -> States:
        """Read the newest state of every component; write that of snapshots.

        Args:
            is_first: Whether nothing is loaded yet, so that an older commit may stand in for one
                that cannot be read.

        Raises:
            DefsStateError: State is missing or damaged; all of it is named.
        """
        folders = dict(self.local.folders)
        versioned = self._newest_versions(is_first=is_first)
        if versioned is not None:
            folders |= versioned.folders
        missing = self._require_rest(folders, versioned)
        snapshots = self._open_snapshots()
        paths = {key: folder / STATE for key, folder in folders.items()}
        for key in self._keys(ManagementType.LEGACY_CODE_SERVER_SNAPSHOTS):
            settings = self.configuration.settings
            paths[key] = snapshots.take(self.components[key], self.place.root, settings)
        commit = versioned.commit if versioned else None
        pins = Pins(self.place.defs_module, commit, self.local.digests, snapshots.files, missing)
        return States(paths, pins, snapshots)

    def pinned(self, pins: Pins) -> States:
        """Read what another process has read; no writer runs.

        Raises:
            DefsStateError: Some of it is not here, or is damaged.
        """
        self._require_known(pins)
        folders = dict(self.local.folders)
        if pins.commit is not None:
            folders |= self._pinned_versions(pins.commit).folders
        snapshots = self._open_snapshots()
        paths = {key: folder / STATE for key, folder in folders.items()}
        paths |= {key: snapshots.restore(key, files) for key, files in pins.snapshots.items()}
        return States(paths, pins, snapshots)

    def _keys(self, kind: ManagementType) -> list[str]:
        return keys_of(self.components, kind)

    def _open_snapshots(self) -> Snapshots:
        snapshots = Snapshots()
        self.resources.callback(snapshots.close)
        return snapshots

    def _newest_versions(self, *, is_first: bool) -> VersionedState | None:
        keys = self._keys(ManagementType.VERSIONED_STATE_STORAGE)
        storage, mode = self.configuration.storage, self.configuration.settings.offline
        owner = self.place.defs_module
        if not keys or storage is None:
            return None
        try:
            offline.require_folder(storage, self.cache, owner, self.local.manifest)
            return read_head(storage, keys, self.cache, owner, self.resources)
        except StoreUnavailableError as error:
            if mode == "fail" or not is_first:
                error.hint = error.hint or (
                    'to start without the store, set `offline` to "last-pinned" or "bundled"'
                    if is_first
                    else "what was loaded before stays in use"
                )
                raise
            if mode == "last-pinned":
                return offline.last_pinned(storage.url, keys, self.cache, owner, error.message)
            return offline.from_artifact(self.local.manifest, self.place, error.message)

    def _pinned_versions(self, commit: PinnedCommit) -> VersionedState:
        carried = offline.bundled(self.local.manifest, self.place.state_folder)
        at_hand = {
            key: folder
            for key, folder in (carried.folders if carried else {}).items()
            if carried and carried.commit.versions[key] == commit.versions.get(key)
        }
        storage = self.configuration.storage or VersionedStorage(commit.store)
        return read_pinned(
            storage, commit, at_hand, self.cache, self.place.defs_module, self.resources
        )

    def _require_rest(
        self, folders: Mapping[str, Path], versioned: VersionedState | None
    ) -> tuple[str, ...]:
        """Return the keys that load without state; all others that have none are errors."""
        kinds = (ManagementType.LOCAL_FILESYSTEM, ManagementType.VERSIONED_STATE_STORAGE)
        missing = sorted({key for kind in kinds for key in self._keys(kind)} - folders.keys())
        raise_all(
            self._missing(key, versioned)
            for key in missing
            if not self.configuration.settings.may_miss(key)
        )
        return tuple(missing)

    def _missing(self, key: str, versioned: VersionedState | None) -> DefsStateError:
        declaration = self.components[key].declaration
        if declaration.management_type is ManagementType.LOCAL_FILESYSTEM:
            return StateError(
                "there is no state for this component",
                key=key,
                location=declaration.location,
                hint="run `defs-state refresh`, or build the package anew; if it may load without, "
                f'set `allow-missing = ["{key}"]`',
            )
        if versioned is None:
            return SettingsError(
                "the state is kept in versioned storage, and no store is set",
                key=key,
                location=declaration.location,
                hint="set `store` under [tool.defs-state] in pyproject.toml, DEFS_STATE_STORE in "
                "the environment, or CodeLocation(store=…)",
            )
        return StateError(
            f"there is no state for this component in the commit {versioned.commit.serial} of "
            f"{versioned.commit.store}",
            key=key,
            location=declaration.location,
            hint="run `defs-state refresh --management-type VERSIONED_STATE_STORAGE`; if it may "
            f'load without, set `allow-missing = ["{key}"]`',
        )

    def _require_known(self, pins: Pins) -> None:
        if pins.defs_module != self.place.defs_module:
            raise SettingsError(
                f"the pins are those of {pins.defs_module}, not of {self.place.defs_module}"
            )
        versions = pins.commit.versions if pins.commit else {}
        known = {*pins.local, *versions, *pins.snapshots, *pins.missing}
        raise_all(
            StateError(
                "the pins say nothing of this component",
                key=key,
                location=loaded.declaration.location,
                hint="load the code location with the same code in both processes",
            )
            for key, loaded in sorted(self.components.items())
            if key not in known
        )


def keys_of(components: Mapping[str, LoadedComponent], kind: ManagementType) -> list[str]:
    """Return the keys whose state is kept in one way, sorted."""
    return sorted(
        key for key, loaded in components.items() if loaded.declaration.management_type is kind
    )
