"""`{{ env.NAME }}` and `{{ project_root }}` inside the strings of a document.

There is nothing else between the braces: no filters, no defaults, no expressions. What is filled in
is not searched for templates again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_defs_state.components.wording import shorten
from hatch_defs_state.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.components.yaml_source import Document
    from hatch_defs_state.components.yaml_values import YamlPath
    from hatch_defs_state.errors import SourceLocation

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_ALLOWED = "{{ env.NAME }} and {{ project_root }} are allowed"


@dataclass(frozen=True)
class Scope:
    """What templates can refer to.

    Attributes:
        project_root: The text that `{{ project_root }}` stands for.
        environment: Values of `{{ env.NAME }}`.
    """

    project_root: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Resolution:
    """A value with its templates filled in.

    Attributes:
        value: A copy of the value; strings that could not be filled in are as they were written.
        written: The strings that have templates, as they were written, by their path.
        failed: The paths of those that could not be filled in.
        errors: Why; one error for each template.
    """

    value: object
    written: Mapping[YamlPath, str]
    failed: frozenset[YamlPath]
    errors: tuple[ComponentError, ...]

    def is_whole(self, path: YamlPath) -> bool:
        """Whether the string at `path` consists of one template and nothing else."""
        match = _TEMPLATE.fullmatch(self.written.get(path, ""))
        return match is not None and "}}" not in match[1]


def resolve(document: Document, path: YamlPath, scope: Scope) -> Resolution:
    """Fill in the templates in the value at `path`; keys of mappings are left alone.

    Args:
        document: The document.
        path: Which value of it.
        scope: What the templates refer to.
    """
    value = document.value
    for step in path:
        value = value[step]  # type: ignore[index]
    filling = _Filling(document, scope)
    filled = filling.fill(value, path)
    return Resolution(filled, filling.written, frozenset(filling.failed), tuple(filling.errors))


def variable_not_set(name: str, location: SourceLocation) -> ComponentError:
    """Return the error that an environment variable is missing which the project asks for."""
    return ComponentError(
        f"environment variable {name} is not set",
        location=location,
        hint="set it for the process that builds, refreshes or loads the project",
    )


@dataclass
class _Filling:
    document: Document
    scope: Scope
    written: dict[YamlPath, str] = field(default_factory=dict)
    failed: set[YamlPath] = field(default_factory=set)
    errors: list[ComponentError] = field(default_factory=list)

    def fill(self, value: object, path: YamlPath) -> object:
        if isinstance(value, dict):
            return {name: self.fill(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and "{{" in value:
            self.written[path] = value
            return self._fill_text(value, path)
        return value

    def _fill_text(self, text: str, path: YamlPath) -> str:
        parts: list[str] = []
        for literal, expression in _split(text):
            parts.append(literal)
            if "{{" in literal:
                self._fail(path, "{{ without }}")
            elif expression is not None:
                parts.append(self._look_up(expression, path))
        return text if path in self.failed else "".join(parts)

    def _look_up(self, expression: str, path: YamlPath) -> str:
        if expression == "project_root":
            return self.scope.project_root
        variable = _VARIABLE.fullmatch(expression)
        if variable is None:
            self._fail(path, f"unknown template {{{{ {shorten(expression)} }}}}")
            return ""
        if variable[1] not in self.scope.environment:
            self.failed.add(path)
            self.errors.append(variable_not_set(variable[1], self.document.values[path]))
            return ""
        return self.scope.environment[variable[1]]

    def _fail(self, path: YamlPath, message: str) -> None:
        self.failed.add(path)
        location = self.document.values[path]
        self.errors.append(ComponentError(message, location=location, hint=_ALLOWED))


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield each literal part with the expression that follows it; the last has none."""
    end = 0
    for match in _TEMPLATE.finditer(text):
        yield text[end : match.start()], match[1].strip()
        end = match.end()
    yield text[end:], None
