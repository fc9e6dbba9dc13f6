"""What Dagster's own processes and projects use, and their components as a source of state.

The names in `__all__` are the public interface. Importing this module does not import Dagster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_defs_state.dagster.refresh_job import build_refresh_job, build_refresh_schedule
    from hatch_defs_state.dagster.state_storage import VersionedDefsStateStorage

__all__ = ["VersionedDefsStateStorage", "build_refresh_job", "build_refresh_schedule"]

_MODULES = {
    "VersionedDefsStateStorage": "state_storage",
    "build_refresh_job": "refresh_job",
    "build_refresh_schedule": "refresh_job",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
