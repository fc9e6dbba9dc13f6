"""What Dagster's declarations of components say: class, place, attributes, variables."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import typing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN_VARIABLE = re.compile(r"\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_DEPTH = 12


def is_single_component(declaration: Any) -> bool:
    """Whether `declaration` is one document of a YAML file, or one function of a Python file."""
    from dagster.components.core.decl import ComponentLoaderDecl, YamlDecl

    return isinstance(declaration, (YamlDecl, ComponentLoaderDecl))


def component_class(declaration: Any) -> type | None:
    """Return the class of the declared component; `None` when only loading it can tell."""
    from dagster.components.core.decl import ComponentLoaderDecl

    if not isinstance(declaration, ComponentLoaderDecl):
        kind: type = declaration.component_type
        return kind
    function = inspect.unwrap(declaration.component_node_fn)
    try:
        returned = typing.get_type_hints(function).get("return")
    except Exception:
        return None
    # `Component` itself says nothing about what comes back.
    from dagster.components.component.component import Component

    return returned if isinstance(returned, type) and returned is not Component else None


def yaml_file(folder: Path) -> Path | None:
    """Return the file in `folder` that declares components, by Dagster's rule."""
    from dagster.components.core.defs_module import find_defs_or_component_yaml

    found: Path | None = find_defs_or_component_yaml(folder)
    return found


def file_of(declaration: Any) -> Path:
    """Return the YAML or Python file that holds `declaration`."""
    place = declaration.loc if hasattr(declaration, "loc") else declaration.path
    path = Path(place.file_path)
    return (yaml_file(path) or path) if path.is_dir() else path


def relative(path: Path, root: Path) -> str:
    """Return `path` relative to `root`, with forward slashes; absolute when it is outside."""
    real, real_root = path.resolve(), root.resolve()
    return (real.relative_to(real_root) if real.is_relative_to(real_root) else real).as_posix()


def location(declaration: Any, root: Path) -> SourceLocation:
    """Return the file and line of `declaration`."""
    file = relative(file_of(declaration), root)
    tree = getattr(declaration, "source_tree", None)
    if tree is not None:
        position = tree.source_position_tree.lookup(["type"])
        return SourceLocation(file, position.start.line if position else None)
    code = getattr(inspect.unwrap(declaration.component_node_fn), "__code__", None)
    return SourceLocation(file, code.co_firstlineno if code else None)


def attributes(declaration: Any) -> Any:
    """Return the attributes as the file has them, templates unresolved."""
    model = getattr(declaration, "component_file_model", None)
    return model.attributes if model is not None else None


def type_name(declaration: Any, component: object) -> str:
    """Return the dotted name of the component's class, as the file has it."""
    model = getattr(declaration, "component_file_model", None)
    kind = type(component)
    return str(model.type) if model is not None else f"{kind.__module__}.{kind.__qualname__}"


def missing_variables(declaration: Any, root: Path) -> list[ComponentError]:
    """Return an error for every `{{ env.NAME }}` in the attributes that is not set.

    Dagster resolves it to nothing, and a state key or an address is then built from nothing. An
    expression that gives a default is Dagster's to resolve.
    """
    tree = getattr(declaration, "source_tree", None)
    if tree is None:
        return []
    file = relative(file_of(declaration), root)
    errors = []
    for path, text in _texts(attributes(declaration), ("attributes",)):
        for name in _PLAIN_VARIABLE.findall(text):
            if name not in os.environ:
                position = tree.source_position_tree.lookup(list(path))
                errors.append(
                    ComponentError(
                        f"the environment variable {name} is not set",
                        location=SourceLocation(file, *(position.start if position else ())),
                        hint=f"set {name} for the build: the component's writer needs it",
                    )
                )
    return errors


def _texts(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def canonical(value: Any, depth: int = _DEPTH) -> Any:
    """Return the resolved configuration in `value` as plain data without memory addresses.

    Paths that attributes give relative to their file are resolved here, so that equal texts in two
    places count as different.
    """
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return [type(value).__name__, value.name]
    if depth == 0:
        return type(value).__qualname__
    if isinstance(value, dict):
        return {str(key): canonical(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item, depth - 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(canonical(item, depth - 1)) for item in value)
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return [kind, {name: canonical(item, depth - 1) for name, item in _fields(value)}]


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name, None)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield name, getattr(value, name, None)
    else:
        for name, item in sorted(getattr(value, "__dict__", {}).items()):
            if not name.startswith("_"):
                yield name, item
