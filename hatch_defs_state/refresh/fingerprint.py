"""What the states of a project depend on, and what differs between two looks at it.

Nothing here imports code of the project: whether anything changed is known before Dagster is
loaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.refresh import look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.settings.model import Settings


@dataclass(frozen=True)
class Fingerprints:
    """Computes the parts of a project's states.

    Attributes:
        project: The project.
        settings: Ours.
        interpreter: Runs the writers.
        salt: Goes into the digests of environment variables, which may be short secrets.
    """

    project: Project
    settings: Settings
    salt: str
    interpreter: Interpreter

    def common(self) -> dict[str, str]:
        """Return what all states depend on: Python, installed distributions, what is excluded."""
        return look.common(
            self.settings.exclude, self.interpreter.version, self.interpreter.folders
        )

    def declared(self) -> dict[str, str]:
        """Return the files that say which components there are."""
        return look.declared(self.project.root, self.project.defs_folder, self.dagster)

    def of(self, declaration: ComponentDeclaration) -> dict[str, str]:
        """Return what the state of one component depends on."""
        return look.state(self.project.root, self.salt, self.subject(declaration))

    @property
    def dagster(self) -> str:
        """The project's configuration of Dagster, as text."""
        return json.dumps(self.project.config.dg, sort_keys=True, default=str)

    def subject(self, declaration: ComponentDeclaration) -> look.Subject:
        """Return what has to be looked at for one component."""
        globs = self.settings.of(declaration.key).inputs
        folders = () if globs else declaration.inputs
        return look.Subject(
            declaration.component_type,
            declaration.config_digest,
            declaration.modules,
            declaration.variables,
            globs,
            [(inputs.folder, inputs.without) for inputs in folders],
        )


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two sets of parts, one clause each, sorted."""
    clauses = []
    for label in sorted(before.keys() | now.keys()):
        if label not in now:
            clauses.append(f"{label} is gone")
        elif label not in before:
            clauses.append(f"{label} is new")
        elif before[label] != now[label]:
            old, new = before[label], now[label]
            readable = max(len(old), len(new)) < hashlib.sha256().digest_size
            clauses.append(f"{label} {old} → {new}" if readable else f"{label} changed")
    return clauses
