"""Where a code location's module lies: in a source tree, or installed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.components import source
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.project import DG_FILE, ProjectConfig, read_config
from hatch_defs_state.storage.generation import FOLDER_NAME

if TYPE_CHECKING:
    from pathlib import Path

_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Place:
    """A defs module on disk.

    Attributes:
        defs_module: Its dotted name.
        folder: The folder of the module.
        root: The root of the source tree, or the folder of the installed top package.
        config: What the files in the source tree's root say; `None` when it is installed.
    """

    defs_module: str
    folder: Path
    root: Path
    config: ProjectConfig | None

    @property
    def state_folder(self) -> Path:
        """Where its generation is."""
        return self.folder / FOLDER_NAME

    @property
    def is_dagster(self) -> bool:
        """Whether its components are Dagster's; wheels of such projects say so in a file."""
        if self.config is not None:
            return self.config.dg is not None
        return (self.root / DG_FILE).is_file()

    @property
    def is_refreshed_in_place(self) -> bool:
        """Whether a refresh may put another generation here while this one is in use.

        It may be another user's.
        """
        return self.config is not None and not _is_read_only(self.folder)


def _is_read_only(folder: Path) -> bool:
    """Whether nobody can write to the file system of `folder`."""
    if not hasattr(os, "statvfs"):  # Windows
        return False
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def find(defs_module: str) -> Place:
    """Import a defs module and find out where it lies.

    Raises:
        DefsStateError: It cannot be imported, has no folder, is Dagster's, or the configuration of
            its source tree cannot be read.
    """
    place = _find(defs_module)
    if place.is_dagster:
        raise ProjectError(
            f"{defs_module} is Dagster's: it loads such definitions itself",
            hint="use `dagster.load_from_defs_folder`; for versioned state, name "
            "hatch_defs_state.dagster.VersionedDefsStateStorage in dagster.yaml",
        )
    return place


def _find(defs_module: str) -> Place:
    folder = source.defs_folder(defs_module)
    for parent in folder.parents:
        if parent.name in _INSTALLED:
            break
        if (parent / "pyproject.toml").is_file():
            return Place(defs_module, folder, parent, read_config(parent))
    depth = defs_module.count(".")
    return Place(defs_module, folder, folder.parents[depth - 1] if depth else folder, None)
