"""The current version of a key in a store, as what new state is compared with."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    DamagedObjectError,
    ObjectNotFoundError,
    StorageError,
    VersionNotFoundError,
)
from hatch_defs_state.refresh.dates import TIME_FORMAT
from hatch_defs_state.refresh.extent import LARGEST_JSON_BYTES, Extent, measure_extent
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.versioned.layout import state_path
from hatch_defs_state.storage.versioned.versions import STATE, derive, is_derived, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.storage.versioned import KeyVersion, VersionedStorage, VersionManifest


class StoredState:
    """A `Baseline` that stays in the store; no more of it is read than a question needs.

    Args:
        storage: Where it is.
        declaration: The component.
        current: The version, and since when it is current.
        scratch: A folder for the file that has to be looked into.
    """

    record = None

    def __init__(
        self,
        storage: VersionedStorage,
        declaration: ComponentDeclaration,
        current: KeyVersion,
        scratch: Path,
    ) -> None:
        self._storage = storage
        self._declaration = declaration
        self._version = current.version
        self._scratch = scratch
        self.refreshed_at = current.since
        self.written_at: str | None = time.strftime(TIME_FORMAT, time.gmtime(current.since))
        self.paths: Mapping[str, Path] = {}

    @property
    def entry(self) -> KeyEntry:
        """What a manifest says of it."""
        return KeyEntry(
            component_type=self._declaration.component_type,
            source=self._declaration.location,
            management_type=self._declaration.management_type,
            files=self._manifest.files,
            written_at=self.written_at,
        )

    def holds(self, files: Mapping[str, FileEntry]) -> bool:
        """Whether these files are its content."""
        if is_derived(self._version):
            return derive(self._declaration.key, files) == self._version
        try:
            return self._manifest.files == files
        except (VersionNotFoundError, DamagedObjectError):
            return False

    def is_sound(self) -> bool:
        """Whether its content is there."""
        try:
            return bool(self._manifest.files)
        except StorageError:
            return False

    def extent(self) -> Extent | None:
        """Return how much it holds; `None` when it is damaged, which a new version makes good."""
        try:
            return self._extent()
        except (VersionNotFoundError, DamagedObjectError, ObjectNotFoundError):
            return None

    def _extent(self) -> Extent | None:
        path = state_path(self._declaration.key, self._version)
        if is_plain(self._version):
            size = self._storage.store.size(path)
            if size is None:
                return None
            files: Mapping[str, FileEntry] = {STATE: FileEntry(size, "")}
        else:
            files = self._manifest.files
        target = self._scratch / folder_name(self._declaration.key)
        state = files.get(STATE)
        if state is not None and state.size <= LARGEST_JSON_BYTES and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._storage.store.get_to_file(path, target)
        return measure_extent(files, {STATE: target})

    @functools.cached_property
    def _manifest(self) -> VersionManifest:
        return self._storage.describe(self._declaration.key, self._version)
