"""State-backed components of a Dagster project, found by Dagster's own `ComponentTree`.

Runs in the project's environment with dagster 1.12.0 or later. Dagster loads a tree of components
all or nothing: one file that cannot be imported ends everything. Here every file is on its own.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.declaration import (
    ComponentDeclaration,
    LoadedComponent,
    LoadedProject,
    config_digest,
    module_files,
    variables_in,
)
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.dagster import declared, explain
from hatch_defs_state.dagster.dbt import input_folders, with_project_copy
from hatch_defs_state.errors import ComponentError, DefsStateError, ProjectError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

_FILE_BUILDERS = (
    "build_component_decl_from_yaml_file_backcompat",
    "build_component_decl_from_python_file",
)
"""Functions of `dagster.components.core.decl` that read one file each."""


def write_state(loaded: LoadedComponent, state_path: Path) -> Awaitable[None] | None:
    """Run the writer of a component; see `StateBackedComponent.write_state_to_path`."""
    component = with_project_copy(loaded.component, state_path)
    result: Awaitable[None] | None = component.write_state_to_path(state_path)
    return result


def load(project_root: Path, defs_module: str) -> LoadedProject:
    """Load the state-backed components of the Dagster project at `project_root`.

    Args:
        project_root: The folder of `pyproject.toml` or `dg.toml`.
        defs_module: Dotted name of the defs module, as Dagster's configuration says.

    Raises:
        ProjectError: The project as a whole cannot be loaded.
    """
    from dagster.components.core.component_tree import ComponentTree
    from dagster_shared.utils.warnings import disable_dagster_warnings

    os.environ.pop("DAGSTER_IS_DEV_CLI", None)
    broken: dict[Path, BaseException] = {}
    with disable_dagster_warnings(), _each_file_on_its_own(broken):
        try:
            module = importlib.import_module(defs_module)
            tree = ComponentTree.from_module(module, project_root)
            declarations = list(tree.find_root_decl().iterate_all_component_decls())
        except Exception as error:
            raise ProjectError(
                f"Dagster cannot load the components of {defs_module}: {explain.cause(error)}",
                hint="`dg check defs` in the project's environment shows the whole traceback",
            ) from error
        collector = _Collector(project_root)
        for declaration in declarations:
            collector.add(declaration)
    for path, reason in broken.items():
        collector.add_broken_file(path, reason)
    return collector.result()


@contextlib.contextmanager
def _each_file_on_its_own(broken: dict[Path, BaseException]) -> Iterator[None]:
    """Let Dagster skip files that it cannot read, and collect why."""
    from dagster.components.core import decl

    def guard(build: Any) -> Any:
        def build_or_skip(context: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return build(context, *args, **kwargs)
            except (Exception, SystemExit) as error:
                broken[Path(context.path)] = error
                return None

        return build_or_skip

    originals = {name: getattr(decl, name) for name in _FILE_BUILDERS if hasattr(decl, name)}
    for name, original in originals.items():
        setattr(decl, name, guard(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(decl, name, original)


class _Collector:
    """Puts together a `LoadedProject`, one declaration of Dagster's at a time."""

    def __init__(self, project_root: Path) -> None:
        self._root = project_root
        self._components: list[LoadedComponent] = []
        self._errors: list[DefsStateError] = []
        self._warnings: list[str] = []

    def result(self) -> LoadedProject:
        self._components.sort(key=lambda component: component.declaration.location)
        self._errors.sort(key=lambda error: error.location or SourceLocation(""))
        return LoadedProject(tuple(self._components), tuple(self._errors), tuple(self._warnings))

    def add(self, declaration: Any) -> None:
        """Load the component that `declaration` declares, if it is state-backed."""
        from dagster.components.component.state_backed_component import StateBackedComponent

        if not declared.is_single_component(declaration):
            return
        kind = declared.component_class(declaration)
        if kind is not None and not issubclass(kind, StateBackedComponent):
            return
        location = declared.location(declaration, self._root)
        missing = declared.missing_variables(declaration, self._root) if kind else []
        if missing:
            self._errors.extend(missing)
            return
        try:
            component = declaration._load_component()
            if isinstance(component, StateBackedComponent):
                self._components.append(self._loaded(declaration, component, location))
        except (Exception, SystemExit) as error:
            self._errors.extend(self._load_errors(kind, location, error))

    def _load_errors(
        self, kind: type | None, location: SourceLocation, error: BaseException
    ) -> list[DefsStateError]:
        if kind is None:
            return [
                ComponentError(
                    f"this component cannot be loaded: {explain.cause(error)}; "
                    "whether it is state-backed cannot be told",
                    location=location,
                    hint="annotate the function with the component class that it returns",
                )
            ]
        return explain.load_errors(kind.__name__, location, error, self._root)

    def _loaded(
        self, declaration: Any, component: Any, location: SourceLocation
    ) -> LoadedComponent:
        config = component.defs_state_config
        component_type = declared.type_name(declaration, component)
        return LoadedComponent(
            ComponentDeclaration(
                key=config.key,
                management_type=ManagementType(config.management_type.value),
                component_type=component_type,
                location=location,
                config_digest=config_digest(
                    component_type,
                    [declared.attributes(declaration), declared.canonical(component)],
                ),
                refresh_if_dev=config.refresh_if_dev,
                variables=variables_in(declared.attributes(declaration)),
                modules=module_files(component, self._root),
                inputs=input_folders(component, self._root),
            ),
            component,
            declared.file_of(declaration).parent,
        )

    def add_broken_file(self, path: Path, error: BaseException) -> None:
        """Account for a file of which Dagster cannot even tell what it declares."""
        if path.suffix != ".py":
            file = declared.yaml_file(path) or path
            self._errors.append(explain.file_error(file, error, self._root))
        elif "component_instance" in path.read_text(encoding="utf-8", errors="replace"):
            self._errors.append(explain.file_error(path, error, self._root))
        else:
            file_name = declared.relative(path, self._root)
            self._warnings.append(
                f"{file_name} was left out: importing it raised {explain.cause(error)}"
            )
