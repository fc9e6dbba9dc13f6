"""Whether an artifact takes in what its state is of use for."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hatch_defs_state.errors import ArtifactError, DefsStateError, SourceLocation, raise_all

if TYPE_CHECKING:
    from hatch_defs_state.artifacts.layout import Layout
    from hatch_defs_state.project import Project
    from hatch_defs_state.storage.manifest import Manifest


def check_loadable(manifest: Manifest, project: Project, layout: Layout) -> None:
    """Refuse a wheel that leaves out the declaration, or the class, of a component.

    Raises:
        DefsStateError: All declarations and modules that are left out.
    """
    targets = {file.target for file in layout.files}
    errors = _undeclared(manifest, project, layout, "wheel")
    for key, entry in manifest.keys.items():
        module = _module_in_tree(entry.component_type, project)
        if module is not None and module not in targets:
            errors.append(_left_out(module, key, entry.source, "wheel"))
    raise_all(errors)


def check_declared(manifest: Manifest, project: Project, layout: Layout, kind: str) -> None:
    """Refuse an artifact that leaves out the declaration of a component.

    Args:
        manifest: Names the declarations.
        project: The project.
        layout: The files of the artifact.
        kind: What it is called in errors.

    Raises:
        DefsStateError: All declarations that are left out.
    """
    raise_all(_undeclared(manifest, project, layout, kind))


def _undeclared(
    manifest: Manifest, project: Project, layout: Layout, kind: str
) -> list[DefsStateError]:
    sources = {os.path.realpath(file.source) for file in layout.files}
    return [
        _left_out(entry.source.file, key, entry.source, kind)
        for key, entry in manifest.keys.items()
        if os.path.realpath(project.root / entry.source.file) not in sources
    ]


def _module_in_tree(component_type: str, project: Project) -> str | None:
    """Return the path in the artifact of the module of a class; `None` for one of a library."""
    name = PurePosixPath(*component_type.split(".")[:-1])
    for root in project.import_roots:
        for candidate in (f"{name}.py", f"{name}/__init__.py"):
            if (root / candidate).is_file():
                return candidate
    return None


def _left_out(file: str, key: str, location: SourceLocation, kind: str) -> ArtifactError:
    return ArtifactError(
        f"{file} is not part of the {kind}, which cannot load this component without it",
        key=key,
        location=location,
        hint=f"let the {kind} take it in (see `include` and `exclude` of the target, .gitignore)",
    )
