"""What `dagster.yaml` says of our state storage."""

from __future__ import annotations

import os
from typing import Any

from dagster import Field, Permissive, StringSource

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.settings import layers

_NAME = "VersionedDefsStateStorage"
_OFFLINE_VARIABLE = f"{layers.ENVIRONMENT_PREFIX}OFFLINE"


def schema() -> dict[str, Any]:
    """Return the schema of `config`."""
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
        "offline": Field(
            StringSource,
            is_required=False,
            description='What is read when the store does not answer: nothing ("fail"), or the '
            'commit that this machine has read last ("last-pinned"). By default what '
            f"{_OFFLINE_VARIABLE} says in the environment, else nothing.",
        ),
    }


def may_stand_in(offline: str | None) -> bool:
    """Whether what was read last may stand in for a store that does not answer.

    Args:
        offline: What the configuration says; by default what the environment does.

    Raises:
        SettingsError: It is not known, or has no meaning here.
    """
    given = {} if offline is None else {"offline": offline}
    environment = {
        name: text for name, text in os.environ.items() if name == _OFFLINE_VARIABLE and not given
    }
    mode = layers.gather(
        lambda: layers.parse_environment(environment),
        lambda: layers.parse_table(given, "config", _NAME),
    ).offline
    if mode == "bundled":
        where = f"{_NAME}: config.offline" if given else f"environment: {_OFFLINE_VARIABLE}"
        raise SettingsError(
            f'{where}: "bundled" is not possible here: which artifact a code location comes from '
            "is not known to Dagster's state storage",
            hint='set `offline` in the configuration of defs_state_storage to "fail" or '
            '"last-pinned"; `CodeLocation` loads what an artifact carries',
        )
    return mode == "last-pinned"
