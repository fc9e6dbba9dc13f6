"""Two projects that both put their `pyproject.toml` at the top of site-packages.

The one that is installed last wins, and Dagster reads its configuration for the other as well. With
the hook a wheel has the `dg.toml` that Dagster finds first.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import PYPROJECT, Subject, folders_in, table_at
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.project import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CODE = "shared-pyproject"
_DEPTH = 4
_TABLES = (
    ("tool", "hatch", "build", "targets", "wheel", "force-include"),
    ("tool", "hatch", "build", "force-include"),
)


def check(subject: Subject) -> Iterator[Finding]:
    """Find a forced `pyproject.toml`; a problem when another project forces its own as well."""
    if not subject.adds_state or subject.config.dg is None:
        return
    table = _forcing(subject.config.pyproject)
    if table is None:
        return
    rival = _rival(subject)
    yield Finding(
        CODE,
        Severity.PROBLEM if rival else Severity.ADVICE,
        f"wheels put {PYPROJECT} at the top of site-packages, "
        + (
            f"and so does {rival}: installed together, one gets the other's configuration"
            if rival
            else "where that of another project would replace it"
        ),
        f'remove "{PYPROJECT}" = "{PYPROJECT}"; the wheel has a dg.toml of its own instead',
        subject.line(*table, PYPROJECT, containing=PYPROJECT),
    )


def _forcing(pyproject: Mapping[str, Any]) -> tuple[str, ...] | None:
    for path in _TABLES:
        if str(table_at(pyproject, *path).get(PYPROJECT, "")).strip("/") == PYPROJECT:
            return path
    return None


def _rival(subject: Subject) -> str | None:
    """Return another project of the repository, or of this environment, that forces its file."""
    for folder in folders_in(subject.repository, _DEPTH):
        if folder == subject.root or not (folder / PYPROJECT).is_file():
            continue
        try:
            other = read_config(folder)
        except ProjectError:
            continue
        if _forcing(other.pyproject):
            return subject.show(folder / PYPROJECT)
    installed = Path(sysconfig.get_path("purelib"))
    if (installed / PYPROJECT).is_file():
        try:
            other = read_config(installed)
        except ProjectError:
            return None
        if other.name != subject.config.name:
            return f"the installed {other.name}"
    return None
