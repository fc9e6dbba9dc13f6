"""State of state-backed components: fetched at build time, verified, shipped, loaded.

The names in `__all__` are the public interface; everything else may move.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_defs_state.components.model import (
        DefsStateConfig,
        LoadContext,
        ManagementType,
        StateBackedComponent,
    )
    from hatch_defs_state.errors import DefsStateError
    from hatch_defs_state.location.code_location import CodeLocation
    from hatch_defs_state.location.pins import Pins

__all__ = [
    "CodeLocation",
    "DefsStateConfig",
    "DefsStateError",
    "LoadContext",
    "ManagementType",
    "Pins",
    "StateBackedComponent",
]

_MODULES = {
    "CodeLocation": "location.code_location",
    "DefsStateConfig": "components.model",
    "DefsStateError": "errors",
    "LoadContext": "components.model",
    "ManagementType": "components.model",
    "Pins": "location.pins",
    "StateBackedComponent": "components.model",
}


def __getattr__(name: str) -> object:
    # Whatever imports a module of this package runs this file: a build with nothing to do, too.
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
