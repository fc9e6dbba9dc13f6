"""What a state depends on, as labelled parts that can be compared, and named when they differ.

Nothing here imports code of the project: whether anything changed is known before Dagster is
loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.installed import installed_distributions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.settings.model import Settings

_DECLARING = (".yaml", ".yml", ".py")
_MISSING = "missing"


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
        return {
            "Python": self.interpreter.version,
            "setting exclude": _digest(json.dumps(self.settings.exclude).encode()),
            **installed_distributions(self.interpreter.folders),
        }

    def declared(self) -> dict[str, str]:
        """Return the files that say which components there are."""
        config = self.project.config
        parts = {"configuration of Dagster": json.dumps(config.dg, sort_keys=True, default=str)}
        for path in _walk(self.project.defs_folder):
            if path.suffix in _DECLARING:
                parts[f"file {self._name(path)}"] = _digest_file(path)
        return parts

    def of(self, declaration: ComponentDeclaration) -> dict[str, str]:
        """Return what the state of one component depends on."""
        parts = {
            "type": declaration.component_type,
            "configuration": declaration.config_digest,
        }
        for module in declaration.modules:
            parts[f"module {module}"] = _digest_file(self.project.root / module)
        for variable in declaration.variables:
            value = os.environ.get(variable)
            text = f"{self.salt}{variable}={value}"
            parts[f"variable {variable}"] = _MISSING if value is None else _digest(text.encode())
        for path in self._inputs(declaration):
            parts[f"input {self._name(path)}"] = _digest_file(path)
        return parts

    def _inputs(self, declaration: ComponentDeclaration) -> Iterator[Path]:
        globs = self.settings.of(declaration.key).inputs
        for glob in globs:
            yield from (path for path in sorted(self.project.root.glob(glob)) if path.is_file())
        if not globs:
            for inputs in declaration.inputs:
                yield from _walk(self.project.root / inputs.folder, inputs.without)

    def _name(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.project.root)).as_posix()


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


def _walk(folder: Path, without: tuple[str, ...] = ()) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        top = Path(parent) == folder
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name != "__pycache__" and not (top and name in without)
        )
        for name in sorted(names):
            yield Path(parent, name)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return _MISSING
    return digest.hexdigest()
