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
    given = {name: value for name, value in (options or {}).items() if value is not None}
    settings = settings_model.merge(
        projects.file_settings(config),
        settings_model.parse_environment(os.environ),
        settings_model.parse_texts(given, lambda name: f"--{settings_model.option_name(name)}"),
    )
    return projects.locate(config, settings), settings
