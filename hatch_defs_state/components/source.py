"""The source of plain components: what the process that runs writers asks for.

The functions here are what every source of components offers, those of other frameworks too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.components.component_types import import_module
from hatch_defs_state.components.loader import load_components
from hatch_defs_state.errors import ComponentError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from hatch_defs_state.components.declaration import LoadedComponent, LoadedProject


def load(project_root: Path, defs_module: str) -> LoadedProject:
    """Load the state-backed components of a project that can be imported.

    Args:
        project_root: The project's folder.
        defs_module: Dotted name of the package whose folder holds the components.

    Raises:
        ProjectError: The module cannot be imported, or has no folder.
    """
    return load_components(defs_folder(defs_module, project_root), project_root)


def write_state(loaded: LoadedComponent, state_path: Path) -> Awaitable[None] | None:
    """Run the writer of a component.

    Args:
        loaded: The component, as `load` returned it.
        state_path: Where it writes.

    Returns:
        What remains to be awaited, if the writer is a coroutine function.
    """
    result: Awaitable[None] | None = loaded.component.write_state_to_path(state_path)
    return result


def defs_folder(defs_module: str, project_root: Path | None = None) -> Path:
    """Import a defs module and return its folder.

    Args:
        defs_module: Dotted name of a package.
        project_root: The project's folder, where it is known; errors point to lines in it.

    Raises:
        ProjectError: The module cannot be imported, or has no folder.
    """
    if not all(part.isidentifier() for part in defs_module.split(".")):
        raise ProjectError(f"{defs_module!r} is not the dotted name of a module")
    try:
        module = import_module(defs_module, None, project_root)
    except ComponentError as error:
        raise ProjectError(
            f"the defs module {defs_module} cannot be imported: {error.message}",
            hint=error.hint,
            output=error.output,
        ) from error
    for folder in getattr(module, "__path__", ()):
        if Path(folder).is_dir():
            return Path(folder)
    raise ProjectError(
        f"the defs module {defs_module} has no folder",
        hint="make it a package: the components are declared in its folder",
    )
