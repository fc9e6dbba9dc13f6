"""All checks, and running them on a project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hatch_defs_state import project as projects
from hatch_defs_state.doctor import (
    build_system,
    dagster_plus,
    docker_ignore,
    force_include,
    git_ignore,
    hook_tables,
    leftovers,
    old_pex,
    shared_pyproject,
    tracked_state,
    uv_cache,
)
from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import Subject
from hatch_defs_state.errors import DefsStateError, flatten
from hatch_defs_state.settings import layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.settings.model import Settings

CHECKS: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
    build_system.check,
    hook_tables.check,
    force_include.check,
    shared_pyproject.check,
    uv_cache.check,
    old_pex.check,
    docker_ignore.check,
    git_ignore.check,
    dagster_plus.check,
    tracked_state.check,
    leftovers.check,
)


def examine(folder: Path) -> tuple[ProjectConfig, tuple[Finding, ...]]:
    """Run all checks on the project that `folder` belongs to.

    Returns:
        The project's configuration, and what was found: problems first, else in the checks' order.

    Raises:
        ProjectError: There is no project, or its files are no TOML.
    """
    config = projects.discover(folder)
    found: list[Finding] = []
    settings = _settings(config, found)
    project = _project(config, settings, found) if settings else None
    subject = Subject(config, settings, project, os.environ)
    for check in CHECKS:
        found.extend(check(subject))
    return config, tuple(sorted(found, key=lambda finding: finding.severity != Severity.PROBLEM))


def _settings(config: ProjectConfig, found: list[Finding]) -> Settings | None:
    try:
        return layers.gather(
            lambda: projects.file_settings(config),
            lambda: layers.parse_environment(os.environ),
        )
    except DefsStateError as error:
        found.extend(_as_findings(error))
        return None


def _project(config: ProjectConfig, settings: Settings, found: list[Finding]) -> Project | None:
    try:
        return projects.locate(config, settings)
    except DefsStateError as error:
        found.extend(_as_findings(error))
        return None


def _as_findings(error: DefsStateError) -> Iterator[Finding]:
    for each in flatten([error]):
        fix = each.hint or "correct it"
        yield Finding("configuration", Severity.PROBLEM, each.message, fix, each.location)
