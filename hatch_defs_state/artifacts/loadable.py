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
    """Refuse an artifact that leaves out the declaration, or the class, of a component.

    Raises:
        DefsStateError: All declarations and modules that are left out.
    """
    sources = {os.path.realpath(file.source) for file in layout.files}
    targets = {file.target for file in layout.files}
    errors: list[DefsStateError] = []
    for key, entry in manifest.keys.items():
        declaration = os.path.realpath(project.root / entry.source.file)
        if declaration not in sources:
            errors.append(_left_out(entry.source.file, key, entry.source))
        module = _module_in_tree(entry.component_type, project)
        if module is not None and module not in targets:
            errors.append(_left_out(module, key, entry.source))
    raise_all(errors)


def _module_in_tree(component_type: str, project: Project) -> str | None:
    """Return the path in the artifact of the module of a class; `None` for one of a library."""
    name = PurePosixPath(*component_type.split(".")[:-1])
    for root in project.import_roots:
        for candidate in (f"{name}.py", f"{name}/__init__.py"):
            if (root / candidate).is_file():
                return candidate
    return None


def _left_out(file: str, key: str, location: SourceLocation) -> ArtifactError:
    return ArtifactError(
        f"{file} is not part of the wheel, which cannot load this component without it",
        key=key,
        location=location,
        hint="let the wheel take it in (see `include` and `exclude` of the target, .gitignore)",
    )
