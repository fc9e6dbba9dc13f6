"""The class that a document names, and whether it is a component."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hatch_defs_state.components.model import StateBackedComponent
from hatch_defs_state.components.project_code import project_code
from hatch_defs_state.components.wording import did_you_mean, shorten
from hatch_defs_state.errors import ComponentError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from hatch_defs_state.errors import SourceLocation


def import_component_type(name: str, location: SourceLocation, project_root: Path) -> type:
    """Import a class and make sure that it is a component, state-backed or not.

    Args:
        name: `package.module.Class`.
        location: Where the project names the class, for errors.
        project_root: The project's folder.

    Raises:
        ComponentError: There is no such class, importing its module failed, or it is no component.
    """
    module_name, _, class_name = name.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in name.split(".")):
        raise ComponentError(
            f"{shorten(name)!r} is not the dotted name of a class",
            location=location,
            hint="write package.module.Class",
        )
    module = import_module(module_name, location, project_root)
    with project_code(f"looking up {name}", location, project_root):
        found = getattr(module, class_name, None)
        complaint = _complaint(name, found)
        classes = [n for n, value in vars(module).items() if isinstance(value, type)]
    if found is None:
        suggestion = did_you_mean(class_name, classes)
        message = f"module {module_name} has no class {class_name}{suggestion}"
        raise ComponentError(message, location=location)
    if complaint or not isinstance(found, type):
        message, hint = complaint or (f"{name} is not a class", None)
        raise ComponentError(message, location=location, hint=hint)
    return found


def import_module(
    name: str, location: SourceLocation | None, project_root: Path | None
) -> ModuleType:
    """Import a module of the project.

    Args:
        name: Its dotted name.
        location: Where the project names it, for errors.
        project_root: The project's folder, where it is known.

    Raises:
        ComponentError: There is no such module, or importing it raised something.
    """
    missing = name
    with project_code(f"importing {name}", location, project_root):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not error.name or not f"{name}.".startswith(f"{error.name}."):
                raise
            missing = error.name
    raise ComponentError(
        f"no module named {missing}",
        location=location,
        hint="check the name; its package has to be on an import root or installed as a dependency",
    )


def _complaint(name: str, found: object) -> tuple[str, str | None] | None:
    """Return why `found` is no component, and what to do."""
    if not isinstance(found, type):
        return f"{name} is not a component class", None
    if issubclass(found, StateBackedComponent):
        return None
    if hasattr(found, "write_state_to_path"):
        # Left out as a plain component, its state would be missing without a word.
        hint = "derive the class from hatch_defs_state.StateBackedComponent"
        return f"{name} writes state but is not a state-backed component", hint
    if hasattr(found, "build_defs"):
        return None
    return f"{name} is not a component class", "a component has a method build_defs"
