"""State of state-backed components: fetched at build time, verified, shipped, loaded.

The names in `__all__` are the public interface; everything else may move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.components.model import (
    DefsStateConfig,
    LoadContext,
    ManagementType,
    StateBackedComponent,
)
from hatch_defs_state.errors import DefsStateError

if TYPE_CHECKING:
    from hatch_defs_state.location.code_location import CodeLocation

__all__ = [
    "CodeLocation",
    "DefsStateConfig",
    "DefsStateError",
    "LoadContext",
    "ManagementType",
    "StateBackedComponent",
]


def __getattr__(name: str) -> object:
    if name == "CodeLocation":
        from hatch_defs_state.location.code_location import CodeLocation

        return CodeLocation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
