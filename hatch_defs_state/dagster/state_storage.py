"""Dagster's `defs_state_storage` on versioned storage: the class that `dagster.yaml` names."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._serdes.config_class import ConfigurableClass
from dagster_shared.serdes.objects.models.defs_state_info import DefsKeyStateInfo, DefsStateInfo

from hatch_defs_state.dagster import storage_config
from hatch_defs_state.dagster.in_use import InUse
from hatch_defs_state.dagster.last_read import LastRead
from hatch_defs_state.dagster.predecessor import Predecessor
from hatch_defs_state.dagster.restoring import Restorer
from hatch_defs_state.dagster.uploading import key_folder
from hatch_defs_state.errors import StoreUnavailableError, VersionNotFoundError
from hatch_defs_state.location.offline import impatient
from hatch_defs_state.storage.versioned import KeyVersion, VersionedStorage, is_marker
from hatch_defs_state.storage.versioned.layout import manifest_path, state_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dagster._serdes.config_class import ConfigurableClassData
    from typing_extensions import Self

_log = logging.getLogger(__name__)


class VersionedDefsStateStorage(DefsStateStorage, ConfigurableClass):  # type: ignore[misc]
    """A drop-in for `UPathDefsStateStorage` that loses no update, checks content and has a history.

    Its methods are those of Dagster's `DefsStateStorage`, and mean the same. In `dagster.yaml`:

        defs_state_storage:
          module: hatch_defs_state.dagster
          class: VersionedDefsStateStorage
          config:
            base: s3://bucket/prefix

    Versions that Dagster's class wrote below the same base, and the pointers in the instance's
    database that say which ones are current, are taken over by the first write.

    With `offline: last-pinned`, what this machine has read last is read again, with a warning, when
    the store does not answer: the versions of one commit, and their content from the user's cache
    folder. Damaged and missing content, refused access, and writes fail nevertheless. `bundled` is
    an error: which artifact a code location comes from is not known here.

    Args:
        base: Where the store is: a folder, or a URL (`s3://`, `gs://`, `az://`).
        options: Configuration of a remote store, as obstore takes it.
        offline: `fail` or `last-pinned`; by default what `DEFS_STATE_OFFLINE` says in the
            environment, else `fail`.
        inst_data: What Dagster made this object from.

    Raises:
        SettingsError: `offline` is something else.
    """

    def __init__(
        self,
        base: str,
        options: Mapping[str, Any] | None = None,
        offline: str | None = None,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()
        self._inst_data = inst_data
        stands_in = storage_config.may_stand_in(offline)
        self._storage = VersionedStorage(base, options=options)
        # Nothing stands in for a write.
        self._read_from = (
            VersionedStorage(base, options=impatient(base, options)) if stands_in else self._storage
        )
        self._predecessor = Predecessor(self._storage)
        self._in_use = InUse(self._read_from)
        self._restorer = Restorer(self._read_from)
        self._last_read = LastRead(self._read_from, self._restorer, stands_in=stands_in)

    @property
    def versioned(self) -> VersionedStorage:
        """The versioned storage behind it, with its history."""
        return self._storage

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What Dagster made this object from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        """Return the schema of `config` in `dagster.yaml`."""
        return storage_config.schema()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the object that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def get_latest_defs_state_info(self) -> DefsStateInfo | None:
        """Return the current version of every key; `None` before the first write.

        Raises:
            StoreUnavailableError: The store does not answer, and nothing may stand in for it.
            DefsStateError: What the store says is damaged, or may not be read.
        """
        try:
            current = self._current()
        except StoreUnavailableError as error:
            last = self._last_read.instead(error)
            current = {
                key: KeyVersion(version, last.since.get(key, last.at))
                for key, version in last.versions.items()
            }
        if current is None:
            return None
        # In the order that Dagster's own class has by writing its mapping down.
        info = DefsStateInfo(
            info_mapping={
                key: DefsKeyStateInfo(version=value.version, create_timestamp=value.since)
                for key, value in sorted(current.items())
            }
        )
        self._in_use.expect(info)
        return info

    def _current(self) -> Mapping[str, KeyVersion] | None:
        self._last_read.require_folder()
        head = self._read_from.head()
        inherited = self._predecessor.current(self._database(), head)
        if not head.serial and not inherited and self._read_from.lineage() is None:
            return None
        older = {
            key: KeyVersion(info.version, info.create_timestamp) for key, info in inherited.items()
        }
        current = {**head.versions, **older}
        self._last_read.answered(head, current)
        return current

    def get_latest_version(self, key: str) -> str | None:
        """Return the current version of `key`, if it has one."""
        info = self.get_latest_defs_state_info()
        version: str | None = info.get_version(key) if info else None
        return version

    def list_state_keys_with_prefix(self, prefix: str) -> list[str]:
        """Return the keys that start with `prefix` and have a version."""
        info = self.get_latest_defs_state_info()
        return [key for key in (info.info_mapping if info else ()) if key.startswith(prefix)]

    def download_state_to_path(self, key: str, version: str, path: Path) -> None:
        """Restore a version of `key` at `path`, checked against its digest.

        A state that is more than one file gets its other files beside `path`, where `path` is in a
        folder of its own.

        Raises:
            ValueError: Nothing is stored for that version.
            DefsStateError: What is stored for it is damaged, or the store cannot be read.
        """
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if self._last_read.restore(key, version, path):
            return
        try:
            # Before the lease, which would make the folder.
            self._last_read.require_folder()
            self._in_use.hold(key, version)
            self._restorer.restore(key, version, path)
        except VersionNotFoundError as error:
            raise ValueError(
                f"No state found for key {key} and version {version} in {self._storage.url}"
            ) from error
        except StoreUnavailableError as error:
            self._last_read.restore_instead(error, key, version, path)
        else:
            self._last_read.restored(key, version)

    def upload_state_from_path(self, key: str, version: str, path: Path) -> None:
        """Store what lies at `path` as a version of `key`, and make it current.

        Raises:
            VersionConflictError: That version has other content already.
        """
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self._take_over()
        with key_folder(path) as folder:
            try:
                self._storage.push({key: folder}, versions={key: version})
            except VersionNotFoundError:
                # It was made current before it had content.
                self._storage.upload(key, folder, version)

    def set_latest_version(self, key: str, version: str | None) -> None:
        """Make a version of `key` current; `None` removes the key, if it is there."""
        self._take_over()
        if version is None or self._has_content(key, version):
            self._storage.set_version(key, version)
            return
        # Dagster's class accepts it, and its callers may set a pointer before the content.
        _log.warning(
            "%s: the version %s is made current, and nothing is stored for it in %s",
            key,
            version,
            self._storage.url,
        )
        self._storage.set_pointer(key, version)

    def _has_content(self, key: str, version: str) -> bool:
        places = (state_path(key, version), manifest_path(key, version))
        return is_marker(version) or any(
            self._storage.store.size(place) is not None for place in places
        )

    def commit(self, versions: Mapping[str, str | None], message: str = "") -> int:
        """Make stored versions of several keys current at once, and return the commit's number."""
        self._take_over()
        return self._storage.set_versions(versions, message).serial

    def _take_over(self) -> None:
        self._predecessor.take_over(self._database())

    def _database(self) -> Any:
        """Return the instance's run storage; `None` where there is no instance."""
        return self._instance.run_storage if self.has_instance else None
