"""A project as sources with the state beside them, for the `-D` way of packing.

Pex's hash of sources leaves out files whose name starts with a dot. The manifest has no such name,
and changes with every file of state: a PEX with other state never counts as the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.archives import FolderArchive
from hatch_defs_state.artifacts.layout import Layout, PackedFile, is_state
from hatch_defs_state.artifacts.unpacked import add
from hatch_defs_state.artifacts.verify import verify_only_state
from hatch_defs_state.assembly.contents import Assembly
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.packing.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.events import Report
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.versioned import VersionedStorage

_EXECUTABLE = 0o755


def as_sources(
    project: Project,
    settings: Settings,
    folder: Path,
    report: Report,
    open_store: Callable[[], VersionedStorage],
) -> Part:
    """Copy the packages of a project, and put its state into the copy.

    From a folder of packages (`src`) everything is taken; from the project's root only the package
    that holds the components.

    Args:
        project: The project.
        settings: Ours.
        folder: A folder that does not exist yet.
        report: Receives the events of the refresh.
        open_store: Returns the versioned storage; called when versions are to be pinned.

    Raises:
        DefsStateError: The state cannot be had.
    """
    root = next(
        (root for root in project.import_roots if project.defs_folder.is_relative_to(root)), None
    )
    if root is None:
        raise ProjectError(f"{project.defs_folder} lies in no folder of packages")
    names = _own_packages(project) if root == project.root else sorted(os.listdir(root))  # noqa: PTH208
    layout = Layout(tuple(_files(root, names)))
    assembly = Assembly(project.config, settings, report, open_store)
    try:
        content = assembly.wheel(project, layout)
        add((*layout.files, *content.files), folder)
    finally:
        assembly.close()
    for file in layout.files:
        if file.source.stat().st_mode & 0o100:
            (folder / file.target).chmod(_EXECUTABLE)
    state = verify_only_state(FolderArchive(folder))
    return Part(state, requirements=project.config.dependencies, sources=folder)


def _own_packages(project: Project) -> list[str]:
    return sorted({module.split(".")[0] for module in (project.root_module, project.defs_module)})


def _files(root: Path, names: list[str]) -> Iterator[PackedFile]:
    for name in names:
        if name.startswith(".") or name.endswith(".egg-info"):
            continue
        path = root / name
        if path.is_file():
            yield PackedFile(path, name)
        for parent, folders, files in os.walk(path):
            folders[:] = sorted(each for each in folders if each != "__pycache__")
            for file in sorted(files):
                target = Path(parent, file).relative_to(root).as_posix()
                if not is_state(target) and not file.endswith((".pyc", ".pyo")):
                    yield PackedFile(Path(parent, file), target)
