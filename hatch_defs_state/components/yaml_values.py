"""The values of one YAML document, built from PyYAML's nodes under limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from hatch_defs_state.components.wording import shorten
from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

YamlPath: TypeAlias = "tuple[str | int, ...]"
"""Keys and indexes that lead from the top of a document to a value."""

MAX_DEPTH = 50
"""Keeps every recursion over a document far from Python's limit."""

MAX_VALUES = 200_000
"""Aliases included: a few lines of them can stand for billions of values."""

_TEXT_PER_VALUE = 64
"""So many characters count as one value more."""

_MAX_NUMBER_LENGTH = 1_000
"""Python refuses to print integers that are much longer."""

QUOTE_TEMPLATES = "put a value that begins with {{ in quotes: without them it is a mapping"

_PREFIX = "tag:yaml.org,2002:"
_MERGE = _PREFIX + "merge"
_NULL = _PREFIX + "null"
_CONSTRUCTED = frozenset({_NULL, *(_PREFIX + name for name in ("bool", "int", "float"))})
_TEXT = frozenset({_MERGE, *(_PREFIX + name for name in ("str", "value"))})
"""PyYAML gives a plain `=` and a plain `<<` tags of their own, wherever they stand."""


class Construction:
    """Builds the value of one document, and notes where everything in it stands.

    An alias is built anew wherever it is used, so that no two places share a mutable value.

    Attributes:
        values: Where each value begins, by its path.
        keys: Where each key of a mapping begins, by the path of its value.
    """

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self.values: dict[YamlPath, SourceLocation] = {}
        self.keys: dict[YamlPath, SourceLocation] = {}
        self._loader = loader
        self._file = file
        self._spent = 0
        self._entered: set[int] = set()
        self._merged: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}

    def build(self, node: yaml.Node, path: YamlPath = ()) -> object:
        """Return what `node`, which stands at `path`, says.

        Raises:
            ComponentError: It says more than JSON can, contradicts itself, or passes a limit.
        """
        self.values[path] = self._locate(node)
        self._spend(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._enter(node)
        built: object
        if isinstance(node, yaml.SequenceNode):
            self._require_tag(node, "seq")
            built = [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        else:
            entries = self._entries(node)
            self.keys.update(
                {(*path, name): self._locate(key) for name, (key, _) in entries.items()}
            )
            built = {name: self.build(value, (*path, name)) for name, (_, value) in entries.items()}
        self._entered.remove(id(node))
        return built

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag in _TEXT:
            return self._text(node)
        if node.tag not in _CONSTRUCTED:
            raise self._unsupported_tag(node)
        if len(node.value) > _MAX_NUMBER_LENGTH:
            raise self._error("the number is too long", node)
        try:
            return self._loader.construct_object(node)
        except Exception as error:
            name = node.tag.removeprefix(_PREFIX)
            raise self._error(f"{shorten(node.value)!r} is not a valid {name}", node) from error

    def _text(self, node: yaml.ScalarNode) -> str:
        text: str = node.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self._error("a surrogate is no character of its own", node)
        return text

    def _entries(self, mapping: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return keys and values by name, with those that `<<` merges in."""
        if id(mapping) in self._merged:
            return self._merged[id(mapping)]
        self._require_tag(mapping, "map")
        inherited: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        seen: dict[tuple[str, bool], yaml.Node] = {}
        for key, value in mapping.value:
            name, merges = self._name(key), key.tag == _MERGE
            first = seen.setdefault((name, merges), key)
            if first is not key or (name in own and not merges):
                line = first.start_mark.line + 1
                raise self._error(f"duplicate key {shorten(name)!r}, first in line {line}", key)
            if not merges:
                own[name] = (key, value)
                continue
            for parent in self._parents(value):
                inherited = {**self._entries_of_parent(parent), **inherited}
        entries = self._merged[id(mapping)] = {**inherited, **own}
        return entries

    def _parents(self, value: yaml.Node) -> Iterator[yaml.Node]:
        parents = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for parent in parents:
            if not isinstance(parent, yaml.MappingNode):
                raise self._error("<< takes a mapping or a list of mappings", parent)
            yield parent

    def _entries_of_parent(self, parent: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        self._enter(parent)
        entries = self._entries(parent)
        self._entered.remove(id(parent))
        return entries

    def _name(self, key: yaml.Node) -> str:
        """Return a key as it is written: `on`, `1` and `2026-01-01` are names as good as any."""
        if not isinstance(key, yaml.ScalarNode):
            error = self._error("a mapping or a list cannot be a key", key)
            if isinstance(key, yaml.MappingNode) and key.flow_style:
                error.hint = QUOTE_TEMPLATES
            raise error
        if key.tag not in _TEXT | _CONSTRUCTED:
            raise self._unsupported_tag(key)
        if key.tag == _NULL and not key.value:
            raise self._error("a key is empty", key)
        self._spend(key)
        return self._text(key)

    def _enter(self, node: yaml.Node) -> None:
        if id(node) in self._entered:
            raise self._error("the value holds itself through an alias", node)
        if len(self._entered) == MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels", node)
        self._entered.add(id(node))

    def _spend(self, node: yaml.Node) -> None:
        self._spent += 1
        if isinstance(node, yaml.ScalarNode):
            self._spent += len(node.value) // _TEXT_PER_VALUE
        if self._spent > MAX_VALUES:
            raise self._error(f"more than {MAX_VALUES} values, aliases included", node)

    def _require_tag(self, node: yaml.Node, name: str) -> None:
        if node.tag != _PREFIX + name:
            raise self._unsupported_tag(node)

    def _unsupported_tag(self, node: yaml.Node) -> ComponentError:
        tag = node.tag.replace(_PREFIX, "!!", 1)
        return self._error(f"the tag {shorten(tag)!r} is not supported", node)

    def _error(self, message: str, node: yaml.Node) -> ComponentError:
        return ComponentError(message, location=self._locate(node))

    def _locate(self, node: yaml.Node) -> SourceLocation:
        return SourceLocation(self._file, node.start_mark.line + 1, node.start_mark.column + 1)
