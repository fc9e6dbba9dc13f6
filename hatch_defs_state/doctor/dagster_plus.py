"""Packages that Dagster+ loads from its copy of the tree instead of from the wheel.

Dagster+'s builder of PEX files installs the project, which adds the state, and packs a copy of its
tree beside that. Code servers start in the copy, and Python looks there first: a package in the
project's root is loaded from it, without state, or with the state that lay in the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.errors import SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.doctor.subject import Subject

CODE = "dagster-plus"
_FILES = ("dagster_cloud.yaml", "dagster_cloud.yml", "build.yaml")


def check(subject: Subject) -> Iterator[Finding]:
    """Find a package in the root of a project that Dagster+ deploys."""
    if subject.project is None or subject.config.dg is None or subject.is_frozen:
        return
    top = subject.root / subject.project.root_module.split(".")[0]
    if not top.is_dir():
        return
    files = (folder / name for folder in subject.outer_folders for name in _FILES)
    file = next((file for file in files if file.is_file()), None)
    if file is not None:
        yield Finding(
            CODE,
            Severity.ADVICE,
            f"PEX deployments load {top.name} from a copy of the tree, "
            "not from the wheel that has the state",
            "run `defs-state refresh` before the deployment, and deploy with "
            "DEFS_STATE_REFRESH=frozen; or move the package to src/",
            SourceLocation(subject.show(file)),
        )
