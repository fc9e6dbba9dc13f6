"""Dagster's `defs_state_storage` on versioned storage: the class that `dagster.yaml` names."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

from dagster import Field, Permissive, StringSource
from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._serdes.config_class import ConfigurableClass
from dagster_shared.serdes.objects.models.defs_state_info import DefsKeyStateInfo, DefsStateInfo

from hatch_defs_state.dagster.in_use import InUse
from hatch_defs_state.dagster.predecessor import Predecessor
from hatch_defs_state.dagster.restoring import Restorer
from hatch_defs_state.dagster.uploading import key_folder
from hatch_defs_state.errors import VersionNotFoundError
from hatch_defs_state.storage.versioned import VersionedStorage, is_marker
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

    Args:
        base: Where the store is: a folder, or a URL (`s3://`, `gs://`, `az://`).
        options: Configuration of a remote store, as obstore takes it.
        inst_data: What Dagster made this object from.
    """

    def __init__(
        self,
        base: str,
        options: Mapping[str, Any] | None = None,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()
        self._inst_data = inst_data
        self._storage = VersionedStorage(base, options=options)
        self._predecessor = Predecessor(self._storage)
        self._in_use = InUse(self._storage)
        self._restorer = Restorer(self._storage)

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
        return {
            "base": Field(
                StringSource,
                description="Where states are kept: a folder, or s3://, gs:// or az://.",
            ),
            "options": Field(
                Permissive(),
                is_required=False,
                description="Configuration of a remote store, as obstore takes it.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the object that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def get_latest_defs_state_info(self) -> DefsStateInfo | None:
        """Return the current version of every key; `None` before the first write."""
        head = self._storage.head()
        inherited = self._predecessor.current(self._database(), head)
        if not head.serial and not inherited and self._storage.lineage() is None:
            return None
        own = {
            key: DefsKeyStateInfo(version=value.version, create_timestamp=value.since)
            for key, value in head.versions.items()
        }
        # In the order that Dagster's own class has by writing its mapping down.
        info = DefsStateInfo(info_mapping=dict(sorted({**own, **inherited}.items())))
        self._in_use.expect(info)
        return info

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
        self._in_use.hold(key, version)
        try:
            self._restorer.restore(key, version, path)
        except VersionNotFoundError as error:
            raise ValueError(
                f"No state found for key {key} and version {version} in {self._storage.url}"
            ) from error

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
