"""What a project's writers need to be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hatch_defs_state.errors import DefsStateError, SettingsError, raise_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.settings.model import Settings


def writer_requirements(
    pyproject: Mapping[str, Any],
    dependencies: Sequence[str],
    extras: Mapping[str, Sequence[str]],
    settings: Settings,
) -> list[str]:
    """Return the requirements of a project with its `features` and `groups`.

    A requirement of the project itself (`shop[all]`) stands for the extras that it names; the
    project must not come from a package index.

    Args:
        pyproject: Content of `pyproject.toml`.
        dependencies: The project's dependencies, dynamic ones resolved.
        extras: Its optional dependencies, likewise.
        settings: Names the features and groups.

    Raises:
        DefsStateError: A feature or group does not exist.
    """
    errors: list[DefsStateError] = []
    requirements = list(dependencies)
    by_name = {str(canonicalize_name(name)): listed for name, listed in extras.items()}
    for feature in settings.features:
        if canonicalize_name(feature) in by_name:
            requirements.extend(by_name[canonicalize_name(feature)])
        else:
            errors.append(_unknown("feature", feature, extras))
    if settings.groups:
        requirements.extend(_groups(pyproject, settings.groups, errors))
    raise_all(errors)
    name = str(canonicalize_name(pyproject.get("project", {}).get("name", "")))
    return _expand(requirements, name, by_name)


def _expand(
    requirements: Sequence[str], project: str, extras: Mapping[str, Sequence[str]]
) -> list[str]:
    """Replace requirements of the project itself by what the extras that they name require."""
    found: dict[str, None] = {}
    rest, seen = list(reversed(requirements)), set[str]()
    while rest:
        text = rest.pop()
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            found[text] = None
            continue
        if canonicalize_name(requirement.name) != project:
            found[text] = None
            continue
        for extra in sorted(map(str, map(canonicalize_name, requirement.extras))):
            if extra not in seen:
                seen.add(extra)
                rest.extend(reversed(extras.get(extra, ())))
    return list(found)


def _groups(
    pyproject: Mapping[str, Any], names: Sequence[str], errors: list[DefsStateError]
) -> list[str]:
    from dependency_groups import resolve

    groups = pyproject.get("dependency-groups", {})
    found: list[str] = []
    for name in names:
        try:
            found.extend(resolve(groups, name))
        except LookupError:
            errors.append(_unknown("dependency group", name, groups))
        except (ValueError, TypeError) as error:
            errors.append(SettingsError(f"pyproject.toml: dependency-groups.{name}: {error}"))
    return found


def _unknown(kind: str, name: str, known: Mapping[str, Any]) -> SettingsError:
    names = ", ".join(sorted(known)) or "none"
    return SettingsError(f"the project has no {kind} {name!r}", hint=f"it has: {names}")


def distribution_names(requirements: Sequence[str]) -> tuple[str, ...]:
    """Return the normalised names in `requirements`, sorted; what is no requirement is left out."""
    names = set()
    for requirement in requirements:
        try:
            names.add(str(canonicalize_name(Requirement(requirement).name)))
        except InvalidRequirement:
            continue
    return tuple(sorted(names))


def read_metadata(path: Path) -> tuple[list[str], dict[str, list[str]]] | None:
    """Return the dependencies in a `METADATA` or `PKG-INFO` file, and those of each extra.

    Those of an extra that do not apply to this environment are left out.

    Returns:
        `None` when there is no such file.
    """
    from email.parser import HeaderParser

    try:
        message = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    dependencies: list[str] = []
    extras: dict[str, list[str]] = {
        canonicalize_name(name): [] for name in message.get_all("Provides-Extra", [])
    }
    for text in message.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        marker, requirement.marker = requirement.marker, None
        if marker is None or "extra" not in str(marker):
            dependencies.append(text)
            continue
        for extra, listed in extras.items():
            if marker.evaluate({"extra": extra}):
                listed.append(str(requirement))
    return dependencies, extras
