"""Where a project's defs folder is, seen from the files that an artifact takes in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_defs_state import project as projects
from hatch_defs_state.errors import ArtifactError, ProjectError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.artifacts.layout import Layout
    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.settings.model import Settings


def locate(config: ProjectConfig, settings: Settings, layout: Layout, scratch: Path) -> Project:
    """Find the defs folder among the files that the wheel takes in.

    Raises:
        ProjectError: It is not there, or the wheel leaves it out.
    """
    elsewhere: Project | None = None
    try:
        project = projects.locate(config, settings, layout.import_roots(scratch))
        folder = project.defs_module.replace(".", "/")
        if packed := layout.below(folder):
            first = next((f for f in packed if f.target.count("/") == folder.count("/") + 1), None)
            return replace(project, tree_folder=first.source.parent if first else None)
        elsewhere = project
    except ProjectError:
        elsewhere = projects.locate(config, settings)
    shown = elsewhere.defs_folder.relative_to(config.root).as_posix()
    if not any(path.is_file() for path in elsewhere.defs_folder.rglob("*")):
        raise ProjectError(
            f"the defs folder {shown} is empty",
            hint="put a folder with the `defs.yaml` of a component into it",
        )
    raise ProjectError(
        f"the defs folder {shown} is not part of the wheel",
        hint="let [tool.hatch.build.targets.wheel] (`packages`, `only-include`, `include`, "
        "`exclude`) take in the package that it belongs to",
    )


def state_folder_in_tree(project: Project) -> str:
    """Return the path of the state folder relative to the project's root.

    Raises:
        ArtifactError: The defs folder lies outside of the project, where no source archive of it
            reaches.
    """
    folder = project.state_folder
    if not folder.is_relative_to(project.root):
        raise ArtifactError(
            f"the defs module {project.defs_module} lies in {folder.parent}, outside of the "
            "project: a source archive cannot carry its state",
            hint="set `refresh-in-sdist = false`, or move the module into the project",
        )
    return folder.relative_to(project.root).as_posix()
