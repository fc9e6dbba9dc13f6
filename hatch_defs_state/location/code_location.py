"""A code location: the definitions of a defs folder, built from the state beside it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components import source
from hatch_defs_state.components.loader import load_components
from hatch_defs_state.components.model import LoadContext, ManagementType
from hatch_defs_state.errors import ComponentError, StateError, raise_all
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.components.declaration import LoadedComponent
    from hatch_defs_state.storage.generation import Generation


_INSTALLED = frozenset({"site-packages", "dist-packages"})


class CodeLocation:
    """The definitions of a defs module, installed or in a source tree.

    Every component builds its definitions from the state in `.local_defs_state` beside it; no
    writer runs. The state is checked against its manifest first.

    Args:
        defs_module: Dotted name of the module whose folder holds the components.

    Raises:
        DefsStateError: The module or a component cannot be loaded; state is missing or altered.
    """

    def __init__(self, defs_module: str) -> None:
        self.defs_module = defs_module
        self._definitions = self._load()

    @property
    def definitions(self) -> Mapping[str, Any]:
        """What each component built, by state key."""
        return MappingProxyType(self._definitions)

    def _load(self) -> dict[str, Any]:
        folder = source.defs_folder(self.defs_module)
        root = _project_root(folder, self.defs_module)
        loaded = load_components(folder, root)
        raise_all(loaded.errors)
        generation = generations.read(folder / generations.FOLDER_NAME)
        return {
            component.declaration.key: _build(component, generation, folder, root)
            for component in loaded.components
        }


def _project_root(folder: Path, defs_module: str) -> Path:
    """Return the root of the source tree, or the folder of the installed top package."""
    for parent in folder.parents:
        if parent.name in _INSTALLED:
            break
        if (parent / "pyproject.toml").is_file():
            return parent
    depth = defs_module.count(".")
    return folder.parents[depth - 1] if depth else folder


def _build(component: LoadedComponent, generation: Generation, folder: Path, root: Path) -> Any:
    declaration = component.declaration
    if declaration.management_type is not ManagementType.LOCAL_FILESYSTEM:
        raise StateError(
            f"state with management type {declaration.management_type.value} cannot be loaded",
            key=declaration.key,
            location=declaration.location,
            hint="use LOCAL_FILESYSTEM",
        )
    if declaration.key not in generation.manifest.keys:
        raise StateError(
            "there is no state for this component",
            key=declaration.key,
            location=declaration.location,
            hint="run `defs-state refresh`, or build the package anew",
        )
    state_path = folder / generations.FOLDER_NAME / folder_name(declaration.key) / "state"
    context = LoadContext(project_root=root, component_path=component.path)
    try:
        return component.component.build_defs_from_state(context, state_path)
    except Exception as error:
        raise ComponentError(
            f"{declaration.component_type} cannot build definitions from its state: "
            f"{type(error).__name__}: {error}",
            key=declaration.key,
            location=declaration.location,
        ) from error
