"""The project that a command works on, with its settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hatch_defs_state import project as projects
from hatch_defs_state.settings import layers

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.settings.model import Settings


def open_project(
    folder: Path, options: dict[str, Any] | None = None
) -> tuple[projects.Project, Settings]:
    """Find the project of `folder` and read its settings.

    Args:
        folder: A folder in the project.
        options: Settings given on the command line, by field name; `None` where not given.

    Raises:
        DefsStateError: There is no project, or its settings are wrong.
    """
    config = projects.discover(folder)
    settings = layers.gather(
        lambda: projects.file_settings(config),
        lambda: layers.parse_environment(os.environ),
        lambda: layers.parse_options(options or {}),
    )
    return projects.locate(config, settings), settings
