"""What one document of a `defs.yaml` says: a class, its attributes, and what it requires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_defs_state.components.templates import Resolution, resolve, variable_not_set
from hatch_defs_state.components.wording import did_you_mean, name_value
from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.components.templates import Scope
    from hatch_defs_state.components.yaml_source import Document
    from hatch_defs_state.components.yaml_values import YamlPath


@dataclass(frozen=True)
class ComponentDocument:
    """A document that was checked as far as it can be without the class that it names.

    Attributes:
        document: The document.
        type_name: Dotted name of the class; `None` when the document does not say.
        type_location: Where that name stands.
        location: The line that declares the component.
        attributes: The mapping under `attributes` with its templates filled in.
        portable_attributes: The same with `{{ project_root }}` left as it is written, which makes
            it equal on all machines.
        errors: What is wrong.
    """

    document: Document
    type_name: str | None
    type_location: SourceLocation
    location: SourceLocation
    attributes: Resolution
    portable_attributes: object
    errors: tuple[ComponentError, ...]


def examine(document: Document, scope: Scope) -> ComponentDocument:
    """Check a document without importing anything.

    Args:
        document: The document.
        scope: What its templates refer to.
    """
    reading = _Reading(document)
    type_name = reading.type_name()
    attributes = portable = Resolution({}, {}, frozenset(), ())
    if reading.mapping("attributes"):
        attributes = resolve(document, ("attributes",), scope)
        as_written = replace(scope, project_root="{{ project_root }}")
        portable = resolve(document, ("attributes",), as_written)
    missing = [
        variable_not_set(name, location)
        for name, location in reading.required_variables()
        if name not in scope.environment
    ]
    top = document.values[()]
    return ComponentDocument(
        document=document,
        type_name=type_name,
        type_location=document.values.get(("type",), top),
        location=SourceLocation(top.file, document.keys.get(("type",), top).line),
        attributes=attributes,
        portable_attributes=portable.value,
        errors=(*reading.errors, *attributes.errors, *missing),
    )


class _Reading:
    """Takes a document apart and notes what it should not hold."""

    def __init__(self, document: Document) -> None:
        self.errors: list[ComponentError] = []
        self._document = document
        self._content: dict[str, object] = {}
        if isinstance(document.value, dict):
            self._content = document.value
            self._reject_unknown((), self._content, ("type", "attributes", "requirements"))
        else:
            self._expected("a mapping with the key 'type'", (), document.value)

    def type_name(self) -> str | None:
        name = self._content.get("type")
        if isinstance(name, str):
            return name
        if "type" in self._content:
            self._expected("the dotted name of a class", ("type",), name)
        elif isinstance(self._document.value, dict):
            self._report("required key 'type' is missing", ())
        return None

    def mapping(self, name: str) -> dict[str, object]:
        value = self._content.get(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._expected("a mapping", (name,), value)
        return {}

    def required_variables(self) -> Iterator[tuple[str, SourceLocation]]:
        requirements = self.mapping("requirements")
        self._reject_unknown(("requirements",), requirements, ("env",))
        path: YamlPath = ("requirements", "env")
        names = requirements.get("env")
        if names is not None and not isinstance(names, list):
            self._expected("a list of names", path, names)
            return
        for index, name in enumerate(names or ()):
            where = (*path, index)
            if isinstance(name, str):
                yield name, self._document.values[where]
            else:
                self._expected("the name of a variable", where, name)

    def _reject_unknown(
        self, path: YamlPath, mapping: dict[str, object], known: tuple[str, ...]
    ) -> None:
        for name in mapping:
            if name not in known:
                where = (*path, name)
                self.errors.append(
                    ComponentError(
                        f"unknown key {name!r}{did_you_mean(name, known)}",
                        location=self._document.keys[where],
                        hint=f"known are {', '.join(known)}",
                    )
                )

    def _expected(self, expected: str, path: YamlPath, value: object) -> None:
        self._report(f"expected {expected}, got {name_value(value)}", path)

    def _report(self, message: str, path: YamlPath) -> None:
        self.errors.append(ComponentError(message, location=self._document.values[path]))
