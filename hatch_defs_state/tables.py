"""The tables of `pyproject.toml` that may hold our settings, one for each way to be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.settings import layers

if TYPE_CHECKING:
    from collections.abc import Mapping

HOOK_TABLE = "tool.hatch.build.hooks.defs-state"
TARGET_TABLE = "tool.hatch.build.targets.wheel.hooks.defs-state"
PEX_PLUGIN = "hatch_defs_state.pex_plugin"
"""What `plugins` in `[tool.pex.build_backend]` names."""
PEX_TABLE = f'tool.pex.build_backend."{PEX_PLUGIN}"'
OWN_TABLE = "tool.defs-state"

HATCHLING_KEYS = frozenset(
    {
        "dependencies",
        "require-runtime-dependencies",
        "require-runtime-features",
        "enable-by-default",
    }
)
"""Keys of a hook table that hatchling itself reads."""

_PART = re.compile(r'"([^"]*)"|([^."]+)')


def find(pyproject: Mapping[str, Any], dotted: str) -> Mapping[str, Any] | None:
    """Return the table at a dotted path of `pyproject.toml`, or `None`.

    Raises:
        SettingsError: There is something else than a table.
    """
    node: Any = pyproject
    for quoted, plain in _PART.findall(dotted):
        part = quoted or plain
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    if not isinstance(node, dict):
        raise SettingsError(f"pyproject.toml: {dotted}: expected a table, got {node!r}")
    return node


def place(pyproject: Mapping[str, Any]) -> str:
    """Return the dotted path of the table that holds the project's settings, or that should.

    Raises:
        SettingsError: There is something else than a table.
    """
    if find(pyproject, OWN_TABLE):
        return OWN_TABLE
    # A table of a target replaces the global one.
    for path in (TARGET_TABLE, HOOK_TABLE, PEX_TABLE):
        if find(pyproject, path) is not None:
            return path
    wrapped = find(pyproject, "tool.pex.build_backend")
    return PEX_TABLE if wrapped and PEX_PLUGIN in wrapped.get("plugins", ()) else HOOK_TABLE


def read(
    pyproject: Mapping[str, Any], hook_table: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Read the settings in `pyproject.toml`.

    Args:
        pyproject: Its content.
        hook_table: The hook's table as hatchling has put it together, when it is hatchling that
            asks; else the table in `pyproject.toml` is read.

    Raises:
        DefsStateError: Unknown or ill-typed settings, or two tables that both have some.
    """
    hook_path = TARGET_TABLE if find(pyproject, TARGET_TABLE) is not None else HOOK_TABLE
    if hook_table is None:
        hook_table = find(pyproject, hook_path) or {}
    found = {
        hook_path: {name: v for name, v in hook_table.items() if name not in HATCHLING_KEYS},
        PEX_TABLE: find(pyproject, PEX_TABLE),
        OWN_TABLE: find(pyproject, OWN_TABLE),
    }
    filled = [path for path, table in found.items() if table]
    if len(filled) > 1:
        raise SettingsError(
            f"pyproject.toml: settings are in both {' and '.join(filled)}",
            hint=f"keep them in one of the {'two' if len(filled) == 2 else 'three'} tables",
        )
    path = filled[0] if filled else place(pyproject)
    return layers.parse_table(found.get(path) or {}, path, "pyproject.toml")
