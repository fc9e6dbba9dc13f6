"""The choice of the interpreter that runs the writers, by the setting `python`.

The build asks twice: first what it has to install, and then, when that is there, for the
interpreter. `auto` comes to one answer: where a lock decides for a managed environment, nothing is
asked for, so that the requirements are not fulfilled later, either; without a lock they are asked
for, and are fulfilled later, unless the front end does not install them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.events import Notice
from hatch_defs_state.refresh.interpreters.interpreter import NAMES, Interpreter, current, find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.project import ProjectConfig
    from hatch_defs_state.refresh.events import Report
    from hatch_defs_state.settings.model import Settings


def needs(config: ProjectConfig, settings: Settings) -> list[str]:
    """Return the requirements of a project's writers.

    Raises:
        DefsStateError: A feature or group does not exist.
    """
    if not (config.dependencies or settings.features or settings.groups):
        return []
    from hatch_defs_state.requirements import writer_requirements

    return writer_requirements(config.pyproject, config.dependencies, config.extras, settings)


def asked_for(config: ProjectConfig, settings: Settings) -> list[str]:
    """Return what has to be installed where the build runs.

    Raises:
        DefsStateError: A feature or group does not exist.
    """
    if settings.refresh == "frozen" or settings.python not in {"auto", "build"}:
        return []
    requirements = needs(config, settings)
    if settings.python == "auto" and requirements:
        from hatch_defs_state.refresh.interpreters.locks import find_lock
        from hatch_defs_state.refresh.interpreters.satisfied import first_missing

        if find_lock(config) is not None and first_missing(requirements) is not None:
            return []
    return requirements


@contextlib.contextmanager
def chosen(config: ProjectConfig, settings: Settings, report: Report) -> Iterator[Interpreter]:
    """Provide the interpreter that runs the writers of a project; it stays until the block ends.

    Args:
        config: The project's configuration.
        settings: `python` says which it is, `features` and `groups` what it has to have.
        report: Told what is made, and what stands in for something else.

    Raises:
        DefsStateError: There is no such interpreter, or it cannot be made.
    """
    if settings.python == "build":
        yield current()
        return
    if settings.python not in NAMES:
        yield find(settings.python, config.root)
        return
    requirements = needs(config, settings)
    missing: str | None = None
    if settings.python == "auto":
        if not requirements:
            yield current()
            return
        from hatch_defs_state.refresh.interpreters.satisfied import first_missing

        missing = first_missing(requirements)
        if missing is None:
            yield current()
            return
    from hatch_defs_state.refresh.interpreters.locks import UV_LOCK, find_lock
    from hatch_defs_state.refresh.interpreters.managed import environment
    from hatch_defs_state.refresh.interpreters.wanted import Wanted

    wanted = Wanted.by(config, settings, requirements)
    lock = find_lock(config)
    if wanted.lock is None and lock is not None:
        text = f"{UV_LOCK} is not used: uv is not on this machine; versions are those of today"
        report(Notice(text, warning=True))
    elif missing is not None and lock is None:
        report(Notice(_not_installed(missing), warning=True))
    with environment(wanted, report) as interpreter:
        yield interpreter


def _not_installed(requirement: str) -> str:
    from hatch_defs_state.refresh.interpreters.making import redact

    return (
        f"{redact(requirement)} is not installed here and there is no lock: writers run in an "
        "environment made from the project's metadata (Hatch 1.16 to 1.18.1, and pex's wrapper of "
        "back ends, do not install what the hook asks for)"
    )
