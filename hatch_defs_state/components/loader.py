"""A folder of `defs.yaml` files as the state-backed components that they declare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.attributes import bind
from hatch_defs_state.components.component_types import import_component_type
from hatch_defs_state.components.declaration import (
    ComponentDeclaration,
    LoadedComponent,
    LoadedProject,
    config_digest,
    module_files,
    variables_in,
)
from hatch_defs_state.components.documents import examine
from hatch_defs_state.components.model import (
    DefsStateConfig,
    ManagementType,
    StateBackedComponent,
)
from hatch_defs_state.components.project_code import display_path, project_code
from hatch_defs_state.components.templates import Scope
from hatch_defs_state.components.yaml_source import read
from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.components.documents import ComponentDocument
    from hatch_defs_state.components.yaml_source import Document

FILE_NAMES = ("defs.yaml", "defs.yml")


def load_components(defs_folder: Path, project_root: Path) -> LoadedProject:
    """Load every component that is declared in a folder or below it.

    Components that are not state-backed are left out: they have no state to write. Nothing that the
    files say and nothing that the project's code raises ends the loading; it is gathered instead.

    Args:
        defs_folder: The folder of the defs module. Folders in it whose names begin with a dot, and
            `__pycache__`, are not looked into; a folder that links lead to twice is read once.
        project_root: What `{{ project_root }}` stands for, and what locations are relative to.
    """
    loading = _Loading(project_root.absolute())
    for file in loading.find_files(defs_folder):
        loading.load_file(file)
    return LoadedProject(
        components=tuple(sorted(loading.components, key=lambda c: c.declaration.location)),
        errors=tuple(loading.errors),
        warnings=tuple(loading.warnings),
    )


class _Loading:
    def __init__(self, project_root: Path) -> None:
        self.components: list[LoadedComponent] = []
        self.errors: list[ComponentError] = []
        self.warnings: list[str] = []
        self._root = project_root
        self._scope = Scope(str(project_root), os.environ)

    def find_files(self, folder: Path) -> Iterator[Path]:
        seen = {os.path.realpath(folder)}
        for path, folders, files in os.walk(folder, onerror=self._unreadable, followlinks=True):
            yield from (Path(path, name) for name in FILE_NAMES if name in files)
            below = []
            for name in sorted(folders):
                real = os.path.realpath(Path(path, name))
                if not name.startswith(".") and name != "__pycache__" and real not in seen:
                    seen.add(real)
                    below.append(name)
            folders[:] = below

    def _unreadable(self, error: OSError) -> None:
        location = SourceLocation(display_path(Path(error.filename), self._root))
        message = f"the folder cannot be read: {error.strerror}"
        self.errors.append(ComponentError(message, location=location))

    def load_file(self, path: Path) -> None:
        try:
            documents = read(path, display_path(path, self._root))
        except ComponentError as error:
            self.errors.append(error)
            return
        for document in documents:
            self._load_document(document, path.parent)

    def _load_document(self, document: Document, folder: Path) -> None:
        declared = examine(document, self._scope)
        errors = list(declared.errors)
        cls = self._import_class(declared, errors)
        state_backed = cls is None or issubclass(cls, StateBackedComponent)
        if cls is not None:
            binding = bind(cls, declared, self._root)
            errors.extend(binding.errors)
            if state_backed and not errors:
                try:
                    component = self._construct(cls, binding.arguments, declared)
                    declaration = self._declare(component, declared)
                    self.components.append(LoadedComponent(declaration, component, folder))
                except ComponentError as error:
                    errors.append(error)
        errors.sort(key=_position)
        if state_backed:
            self.errors.extend(errors)
        else:
            self.warnings.extend(_warning(declared, error) for error in errors)

    def _import_class(
        self, declared: ComponentDocument, errors: list[ComponentError]
    ) -> type | None:
        if declared.type_name is None:
            return None
        try:
            return import_component_type(declared.type_name, declared.type_location, self._root)
        except ComponentError as error:
            errors.append(error)
            return None

    def _construct(
        self, cls: type, arguments: Mapping[str, Any], declared: ComponentDocument
    ) -> Any:
        with project_code(str(declared.type_name), declared.location, self._root):
            return cls(**arguments)

    def _declare(self, component: Any, declared: ComponentDocument) -> ComponentDeclaration:
        name, location = str(declared.type_name), declared.location
        with project_code(f"defs_state_config of {name}", location, self._root):
            config = component.defs_state_config
        for value, expected, what in (
            (config, DefsStateConfig, "defs_state_config"),
            (getattr(config, "key", None), str, "the state key"),
            (getattr(config, "management_type", None), ManagementType, "the management type"),
        ):
            if not isinstance(value, expected):
                got = f"expected {expected.__name__}, got {type(value).__name__}"
                raise ComponentError(f"{what} of {name}: {got}", location=location)
        return ComponentDeclaration(
            key=config.key,
            management_type=config.management_type,
            component_type=name,
            location=location,
            config_digest=config_digest(name, declared.portable_attributes),
            refresh_if_dev=bool(config.refresh_if_dev),
            variables=variables_in(declared.document.value),
            modules=module_files(component, self._root),
        )


def _position(error: ComponentError) -> tuple[int, int]:
    location = error.location or SourceLocation("")
    return location.line or 0, location.column or 0


def _warning(declared: ComponentDocument, error: ComponentError) -> str:
    return (
        f"{error.location or declared.location}: the component {declared.type_name} does not load, "
        f"which is no harm to the build as it has no state: {error.message}"
    )
