"""Attributes of a document, checked against a class and converted to its types.

All errors are gathered, each with the place of the value that it is about.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from dataclasses import dataclass, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.project_code import project_code
from hatch_defs_state.components.scalars import NOT_CONVERTIBLE, convert_scalar
from hatch_defs_state.components.signatures import parameters_of
from hatch_defs_state.components.wording import did_you_mean, name_type, name_value
from hatch_defs_state.errors import ComponentError

if TYPE_CHECKING:
    from hatch_defs_state.components.documents import ComponentDocument
    from hatch_defs_state.components.yaml_values import YamlPath
    from hatch_defs_state.errors import SourceLocation

_ATTRIBUTES: YamlPath = ("attributes",)

_SCALARS = (str, int, float, bool, NoneType)
_PATHS = (Path, PurePath)
_LISTS = (list, Sequence, MutableSequence, Collection, Iterable)
_MAPPINGS = (dict, Mapping, MutableMapping)
_UNIONS = (typing.Union, UnionType)


@dataclass(frozen=True)
class Binding:
    """What the constructor of a class is called with.

    Attributes:
        arguments: Converted values by name; of use only when there is no error.
        errors: Why the class cannot be constructed.
    """

    arguments: Mapping[str, Any]
    errors: tuple[ComponentError, ...]


def bind(cls: type, declared: ComponentDocument, project_root: Path) -> Binding:
    """Check the attributes of a document and convert them to what a class declares.

    Values whose templates could not be filled in are not checked: their error is known already.

    Args:
        cls: The class that the document names.
        declared: The document.
        project_root: The project's folder.
    """
    converter = _Converter(declared, project_root)
    given = typing.cast("Mapping[str, object]", declared.attributes.value)
    arguments = converter.arguments(cls, given, _ATTRIBUTES)
    return Binding(arguments, tuple(problem.error for problem in converter.problems))


@dataclass(frozen=True)
class _Problem:
    path: YamlPath
    error: ComponentError


class _Converter:
    def __init__(self, declared: ComponentDocument, project_root: Path) -> None:
        self.problems: list[_Problem] = []
        self._document = declared.document
        self._resolution = declared.attributes
        self._location = declared.location
        self._project_root = project_root

    def arguments(
        self, cls: type, given: Mapping[str, object], path: YamlPath
    ) -> dict[str, object]:
        try:
            parameters = parameters_of(cls, self._location)
        except ComponentError as error:
            self.problems.append(_Problem(path, error))
            return {}
        for name in [name for name in given if name not in parameters]:
            where = (*path, name)
            message = f"unknown attribute {_name(where)!r}{did_you_mean(name, parameters)}"
            hint = f"{cls.__name__} accepts {', '.join(parameters) or 'no attributes'}"
            self._report(where, message, hint, self._document.keys[where])
        place = self._document.keys.get(path) or self._document.values.get(path)
        for name in [p.name for p in parameters.values() if p.required and p.name not in given]:
            where = (*path, name)
            self._report(where, f"required attribute {_name(where)!r} is missing", None, place)
        return {
            name: self.convert(given[name], parameter.annotation, (*path, name))
            for name, parameter in parameters.items()
            if name in given
        }

    def convert(self, value: object, annotation: Any, path: YamlPath) -> object:
        while hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        if annotation in (Any, object) or isinstance(annotation, typing.TypeVar):
            return value
        if path in self._resolution.failed:
            return NOT_CONVERTIBLE
        conversion = self._conversion(typing.get_origin(annotation) or annotation)
        if conversion is None:
            name = getattr(annotation, "__name__", annotation)
            return self._report(path, f"attribute {_name(path)!r}: YAML cannot express {name}")
        return conversion(value, annotation, path)

    def _conversion(self, origin: object) -> Callable[[Any, Any, YamlPath], object] | None:
        if origin in _UNIONS:
            return self._union
        if origin is typing.Literal:
            return self._literal
        if not isinstance(origin, type):
            return None
        if issubclass(origin, Enum):
            return self._enum
        if is_dataclass(origin):
            return self._dataclass
        for types, conversion in (
            (_SCALARS, self._scalar),
            (_PATHS, self._path),
            (_LISTS, self._list),
            ((tuple,), self._tuple),
            (_MAPPINGS, self._mapping),
        ):
            if origin in types:
                return conversion
        return None

    def _scalar(self, value: object, annotation: type, path: YamlPath) -> object:
        converted = convert_scalar(value, annotation, is_text=self._resolution.is_whole(path))
        if converted is NOT_CONVERTIBLE:
            return self._mismatch(value, annotation, path)
        return converted

    def _path(self, value: object, annotation: type[Path], path: YamlPath) -> object:
        if not isinstance(value, str) or not value:
            return self._mismatch(value, annotation, path)
        return annotation(value)

    def _literal(self, value: object, annotation: object, path: YamlPath) -> object:
        for option in typing.get_args(annotation):
            if type(option) is type(value) and option == value:
                return option
        return self._mismatch(value, annotation, path)

    def _enum(self, value: object, annotation: type[Enum], path: YamlPath) -> object:
        for member in annotation:
            if type(member.value) is type(value) and member.value == value:
                return member
        return self._mismatch(value, annotation, path)

    def _list(self, value: object, annotation: object, path: YamlPath) -> object:
        if not isinstance(value, list):
            return self._mismatch(value, annotation, path)
        (item_type,) = typing.get_args(annotation) or (Any,)
        return [self.convert(item, item_type, (*path, i)) for i, item in enumerate(value)]

    def _tuple(self, value: object, annotation: object, path: YamlPath) -> object:
        if not isinstance(value, list):
            return self._mismatch(value, annotation, path)
        item_types = typing.get_args(annotation) or (Any, ...)
        if item_types[-1] is ...:
            item_types = (item_types[0],) * len(value)
        if len(item_types) != len(value):
            counts = f"expected {len(item_types)} values, got {len(value)}"
            return self._report(path, f"attribute {_name(path)!r}: {counts}")
        return tuple(
            self.convert(item, item_type, (*path, index))
            for index, (item, item_type) in enumerate(zip(value, item_types, strict=True))
        )

    def _mapping(self, value: object, annotation: object, path: YamlPath) -> object:
        if not isinstance(value, dict):
            return self._mismatch(value, annotation, path)
        key_type, value_type = typing.get_args(annotation) or (str, Any)
        if key_type not in (str, Any, object):
            message = f"attribute {_name(path)!r}: keys of mappings are strings in YAML"
            return self._report(path, message)
        return {name: self.convert(v, value_type, (*path, name)) for name, v in value.items()}

    def _dataclass(self, value: object, annotation: Any, path: YamlPath) -> object:
        if not isinstance(value, dict):
            return self._mismatch(value, annotation, path)
        cls = typing.get_origin(annotation) or annotation
        problems = len(self.problems)
        arguments = self.arguments(cls, value, path)
        failed = any(place[: len(path)] == path for place in self._resolution.failed)
        if failed or len(self.problems) > problems:
            return NOT_CONVERTIBLE
        try:
            with project_code(cls.__name__, self._document.values[path], self._project_root):
                return cls(**arguments)
        except ComponentError as error:
            # The value has the right shape: for a union, the problem lies deeper than here.
            self.problems.append(_Problem((*path, ""), error))
        return NOT_CONVERTIBLE

    def _union(self, value: object, annotation: object, path: YamlPath) -> object:
        alternatives = typing.get_args(annotation)
        # The type of the value itself goes first: `float | int` must not make 1 a float.
        ordered = sorted(alternatives, key=lambda alternative: alternative is not type(value))
        deeper: list[_Problem] = []
        for alternative in ordered:
            trial = copy.copy(self)
            trial.problems = []
            converted = trial.convert(value, alternative, path)
            if not trial.problems:
                return converted
            if not deeper and all(len(problem.path) > len(path) for problem in trial.problems):
                deeper = trial.problems
        # A value of the right shape with wrong parts: what is wrong with the parts says more.
        if deeper:
            self.problems.extend(deeper)
            return NOT_CONVERTIBLE
        return self._mismatch(value, annotation, path)

    def _mismatch(self, value: object, annotation: object, path: YamlPath) -> object:
        written = self._resolution.written.get(path)
        # The text may be a secret of the environment.
        got = name_value(value) if written is None else f"the text of {written!r}"
        scalar = isinstance(value, (bool, int, float))
        wants_text = str in (annotation, *typing.get_args(annotation))
        return self._report(
            path,
            f"attribute {_name(path)!r}: expected {name_type(annotation)}, got {got}",
            "put the value in quotes" if scalar and wants_text else None,
        )

    def _report(
        self,
        path: YamlPath,
        message: str,
        hint: str | None = None,
        location: SourceLocation | None = None,
    ) -> object:
        location = location or self._document.values.get(path) or self._location
        self.problems.append(_Problem(path, ComponentError(message, location=location, hint=hint)))
        return NOT_CONVERTIBLE


def _name(path: YamlPath) -> str:
    """Return the path of an attribute as it is written in most languages: `tables[0].name`."""
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[1:])
    return name.removeprefix(".")
