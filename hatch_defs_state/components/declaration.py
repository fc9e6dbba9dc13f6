"""What the engine knows of a component: plain values that cross process borders.

A *source* of components (`components.source` or `dagster.source`) loads a project in a child
process and returns a `LoadedProject`; only declarations travel to the parent.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}")
_VARIABLE = re.compile(r"""\benv(?:\.([A-Za-z_]\w*)|\(\s*\\?['"]([^'"\\]+))""")
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class InputFolder:
    """A folder whose files a writer reads.

    Attributes:
        folder: Path relative to the project's root.
        without: Names of folders directly below it that do not count.
    """

    folder: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComponentDeclaration:
    """One state-backed component as declared by the project.

    Attributes:
        key: The state key.
        management_type: Where the state is kept.
        component_type: Dotted name of the component's class.
        location: The `defs.yaml` (or Python file) and line that declare the component.
        config_digest: `config_digest()` of type and resolved attributes; equal digests mean that
            two components write the same state.
        refresh_if_dev: Whether the state is refreshed whenever definitions load in development.
        variables: Names of the environment variables that the attributes name.
        modules: Files of the project that define the component's class, relative to the project.
        inputs: Folders of the project that the writer reads, where the component's class tells.
    """

    key: str
    management_type: ManagementType
    component_type: str
    location: SourceLocation
    config_digest: str
    refresh_if_dev: bool = True
    variables: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    inputs: tuple[InputFolder, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping that `parse` accepts."""
        return {
            "key": self.key,
            "management_type": self.management_type.value,
            "component_type": self.component_type,
            "location": {
                "file": self.location.file,
                "line": self.location.line,
                "column": self.location.column,
            },
            "config_digest": self.config_digest,
            "refresh_if_dev": self.refresh_if_dev,
            "variables": self.variables,
            "modules": self.modules,
            "inputs": [{"folder": i.folder, "without": i.without} for i in self.inputs],
        }

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> ComponentDeclaration:
        """Build a declaration from what `to_json` returned."""
        return cls(
            **{
                **data,
                "management_type": ManagementType(data["management_type"]),
                "component_type": sys.intern(data["component_type"]),
                "location": SourceLocation(**data["location"]),
                "variables": tuple(data["variables"]),
                "modules": tuple(map(sys.intern, data["modules"])),
                "inputs": tuple(
                    InputFolder(inputs["folder"], tuple(inputs["without"]))
                    for inputs in data["inputs"]
                ),
            }
        )


@dataclass(frozen=True)
class LoadedComponent:
    """A live component in the process that loaded it.

    Attributes:
        declaration: What the engine knows of it.
        component: The object with `write_state_to_path` and `build_defs_from_state`.
        path: The folder that holds the component's `defs.yaml`.
    """

    declaration: ComponentDeclaration
    component: Any
    path: Path


@dataclass(frozen=True)
class LoadedProject:
    """The state-backed components of a project, and what went wrong while loading them.

    Attributes:
        components: Components in the order of their locations.
        errors: Reasons why the project's state cannot be written; all of them.
        warnings: Full sentences about components that were left out without harm.
    """

    components: tuple[LoadedComponent, ...]
    errors: tuple[DefsStateError, ...] = ()
    warnings: tuple[str, ...] = ()


def variables_in(attributes: object) -> tuple[str, ...]:
    """Return the names of the environment variables in the templates of `attributes`, sorted."""
    text = json.dumps(attributes, default=repr)
    return tuple(
        sorted({name for template in _TEMPLATE.findall(text) for name in _names(template)})
    )


def _names(template: str) -> list[str]:
    return [dotted or called for dotted, called in _VARIABLE.findall(template)]


def module_files(component: object, project_root: Path) -> tuple[str, ...]:
    """Return the files of the project that define the class of `component`, base classes included.

    Files of installed distributions are left out: their versions say what they hold.
    """
    kind: Any = type(component)
    return _files_of_class(kind, project_root)


@functools.cache
def _files_of_class(cls: type, project_root: Path) -> tuple[str, ...]:
    root = project_root.resolve()
    found = set()
    for kind in cls.__mro__:
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        if file is None:
            continue
        path = Path(file).resolve()
        if path.is_relative_to(root) and not _INSTALLED.intersection(path.parts):
            found.add(path.relative_to(root).as_posix())
    return tuple(sorted(found))


def config_digest(component_type: str, attributes: object) -> str:
    """Digest of a component's configuration, independent of the order of mappings.

    Args:
        component_type: Dotted name of the class.
        attributes: Resolved attributes; values that JSON lacks are represented by `repr`.

    Returns:
        A sha256 in hexadecimal.
    """
    text = json.dumps([component_type, attributes], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
