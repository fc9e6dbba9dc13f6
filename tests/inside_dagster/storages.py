"""State storages, Dagster's own and ours, made as `dagster.yaml` makes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._serdes.config_class import ConfigurableClassData

if TYPE_CHECKING:
    from pathlib import Path

OURS = ("hatch_defs_state.dagster", "VersionedDefsStateStorage", "base")
DAGSTERS = (
    "dagster._core.storage.defs_state.blob_storage_state_storage",
    "UPathDefsStateStorage",
    "base_path",
)


def storage_at(kind: tuple[str, str, str], base: Path | str, instance: Any) -> Any:
    """Return the state storage of an instance.

    Args:
        kind: `OURS` or `DAGSTERS`.
        base: Where it keeps states.
        instance: The instance, whose database Dagster's class uses.
    """
    module, name, setting = kind
    data = ConfigurableClassData(module, name, json.dumps({setting: str(base)}))
    storage: Any = data.rehydrate(as_type=DefsStateStorage)
    storage.register_instance(instance)
    return storage


def upload(storage: Any, key: str, version: str, content: bytes, folder: Path) -> None:
    """Upload `content` as a version, by way of a file in `folder`."""
    path = folder / "to upload"
    path.write_bytes(content)
    storage.upload_state_from_path(key, version, path)


def download(storage: Any, key: str, version: str, folder: Path) -> bytes:
    """Return the content of a version, by way of a file in `folder`."""
    path = folder / "downloaded"
    storage.download_state_to_path(key, version, path)
    return path.read_bytes()


def versions(storage: Any) -> dict[str, str] | None:
    """Return the current version of every key."""
    info = storage.get_latest_defs_state_info()
    return None if info is None else {k: v.version for k, v in info.info_mapping.items()}
