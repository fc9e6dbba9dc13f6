"""YAML files as plain values that remember where they were written.

Only what JSON can say is accepted: mappings with text keys, lists, strings, numbers, booleans and
null. Dates stay strings. Whatever stands in a file, the only exception is `ComponentError`.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from hatch_defs_state.components.wording import shorten
from hatch_defs_state.components.yaml_values import MAX_DEPTH, QUOTE_TEMPLATES, Construction
from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hatch_defs_state.components.yaml_values import YamlPath

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What YAML counts as the end of a line."""

_UNUSUAL = re.compile(r"[^\n -~]|[!%&*>?@\\`|]|:\s*[,}\]]|^[ -]{100}", re.MULTILINE)
"""What libyaml and PyYAML's own parser may read differently: anything but printable ASCII, the
signs of anchors, aliases, tags, directives, complex keys, blocks of text and escapes, and the place
of a value that is left out. And deep nesting, at which PyYAML's composer of libyaml's events has no
limit but the end of the stack."""

_MOST_BRACKETS = 200
"""Likewise."""

_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_QuickLoader: Any = None
if hasattr(yaml, "CSafeLoader"):
    _QuickLoader = type(
        "_QuickLoader", (yaml.CSafeLoader,), {"yaml_implicit_resolvers": _RESOLVERS}
    )


@dataclass(frozen=True)
class Document:
    """One document of a YAML file.

    Attributes:
        value: What it says, made of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`.
        values: Where each value begins, by its path; the path of the whole document is `()`.
        keys: Where each key of a mapping begins, by the path of its value.
    """

    value: object
    values: Mapping[YamlPath, SourceLocation]
    keys: Mapping[YamlPath, SourceLocation]


def read(path: Path, file: str) -> tuple[Document, ...]:
    """Read a YAML file; documents that say nothing are left out.

    Args:
        path: The file.
        file: What errors and locations call it.

    Raises:
        ComponentError: The file cannot be read, is not UTF-8, or is not the YAML accepted here.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ComponentError("not a regular file", location=SourceLocation(file))
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ComponentError(
            f"the file cannot be read: {reason}", location=SourceLocation(file)
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ComponentError(
            "the file is not UTF-8", location=SourceLocation(file, line), hint="save it as UTF-8"
        ) from error
    return parse(text, file)


def parse(text: str, file: str) -> tuple[Document, ...]:
    """Parse the documents in `text`; those that say nothing are left out.

    Args:
        text: Content of a YAML file.
        file: What errors and locations call it.

    Raises:
        ComponentError: The text is not the YAML accepted here; the location is the first mistake.
    """
    documents = parse_quickly(text, file)
    return parse_thoroughly(text, file) if documents is None else documents


def parse_thoroughly(text: str, file: str) -> tuple[Document, ...]:
    """Parse a text with PyYAML's own parser; see `parse`."""
    return _construct(_compose(text, file), file)


def _construct(
    composed: Iterable[tuple[yaml.SafeLoader, yaml.Node]], file: str
) -> tuple[Document, ...]:
    documents = []
    for loader, node in composed:
        construction = Construction(loader, file)
        value = construction.build(node)
        if value is not None:
            documents.append(Document(value, construction.values, construction.keys))
    return tuple(documents)


def parse_quickly(text: str, file: str) -> tuple[Document, ...] | None:
    """Parse a plain text with libyaml, where PyYAML was built with it: that is ten times as fast.

    Returns:
        The documents; `None` for a text that is not plain or has a mistake, which PyYAML's own
        parser words better.
    """
    brackets = text.count("[") + text.count("{")
    if _QuickLoader is None or brackets > _MOST_BRACKETS or _UNUSUAL.search(text):
        return None
    try:
        loader = _QuickLoader(text)
        composed = []
        while loader.check_node():
            composed.append((loader, loader.get_node()))
        documents = _construct(composed, file)
    except Exception:
        return None
    deep = any(len(path) >= MAX_DEPTH for document in documents for path in document.values)
    return None if deep else documents


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with strings for dates, and with a limit to its recursion."""

    depth = 0
    yaml_implicit_resolvers = _RESOLVERS

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str, file: str) -> Iterator[tuple[_Loader, yaml.Node]]:
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield loader, node
    except ReaderError as error:
        before = _LINE_BREAK.split(text[: error.position])
        raise ComponentError(
            f"invalid YAML: the character U+{ord(text[error.position]):04X} is not allowed",
            location=SourceLocation(file, len(before), len(before[-1]) + 1),
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise _invalid(problem, mark, file, text) from error
    except Exception as error:
        # PyYAML lets what chr() and int() raise for an escape or a directive through.
        mark = loader.get_mark() if loader else None
        raise _invalid(str(error), mark, file, text) from error


def _invalid(problem: str, mark: yaml.Mark | None, file: str, text: str) -> ComponentError:
    location = SourceLocation(file)
    hint = None
    if mark is not None:
        location = SourceLocation(file, mark.line + 1, mark.column + 1)
        hint = QUOTE_TEMPLATES if "{{" in _LINE_BREAK.split(text)[mark.line] else None
    return ComponentError(f"invalid YAML: {shorten(problem, 160)}", location=location, hint=hint)
