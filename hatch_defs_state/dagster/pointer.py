"""Which versions Dagster's own pointer names, in the instance of DAGSTER_HOME."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def current_versions() -> Mapping[str, frozenset[str]] | None:
    """Return the versions that Dagster takes for the latest, for every key.

    Dagster's `UPathDefsStateStorage` keeps them in the run storage, as one serialized value
    (`dagster/_core/storage/defs_state`).

    Returns:
        The versions; `None` when there is no DAGSTER_HOME, or no Dagster in this environment.

    Raises:
        StorageError: The instance cannot be opened or asked.
    """
    if not os.environ.get("DAGSTER_HOME"):
        return None
    try:
        from dagster import DagsterInstance
        from dagster._core.storage.defs_state.base import DEFS_STATE_INFO_CURSOR_KEY
        from dagster_shared.serdes import deserialize_value
        from dagster_shared.serdes.objects.models.defs_state_info import DefsStateInfo
    except ImportError:
        return None
    try:
        with DagsterInstance.get() as instance:
            values = instance.run_storage.get_cursor_values({DEFS_STATE_INFO_CURSOR_KEY})
        raw = values.get(DEFS_STATE_INFO_CURSOR_KEY)
        info = deserialize_value(raw, DefsStateInfo) if raw else DefsStateInfo.empty()
    except Exception as error:
        # Databases raise what their drivers have; none of it must lead to a deletion.
        raise StorageError(
            f"Dagster's pointer to current versions cannot be read: {error}",
            hint="`--no-dagster` leaves it out, if this instance does not use the store",
        ) from error
    found = {key: info.get_version(key) for key in info.info_mapping}
    return {key: frozenset({version}) for key, version in found.items() if version}
