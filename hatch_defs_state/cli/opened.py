"""The project that a command works on, with its settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hatch_defs_state import project as projects
from hatch_defs_state import settings as settings_model

if TYPE_CHECKING:
    from pathlib import Path


def open_project(
    folder: Path, options: dict[str, Any] | None = None
) -> tuple[projects.Project, settings_model.Settings]:
    """Find the project of `folder` and read its settings.

    Args:
        folder: A folder in the project.
        options: Settings given on the command line, by field name; `None` where not given.

    Raises:
        DefsStateError: There is no project, or its settings are wrong.
    """
    config = projects.discover(folder)
    settings = settings_model.gather(
        lambda: projects.file_settings(config),
        lambda: settings_model.parse_environment(os.environ),
        lambda: settings_model.parse_options(options or {}),
    )
    return projects.locate(config, settings), settings
