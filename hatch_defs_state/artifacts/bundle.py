"""A generation as the files of an artifact, and an artifact's files checked against a manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hatch_defs_state.artifacts.layout import PackedFile
from hatch_defs_state.storage import manifest as manifest_file
from hatch_defs_state.storage.generation import FOLDER_NAME, GITIGNORE, GITIGNORE_NAME, Generation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.project import Project


_DG_KEYS = ("root_module", "defs_module", "code_location_name")


@dataclass(frozen=True)
class Bundle:
    """What an artifact takes in beside the project's own files.

    Attributes:
        folder: Path of the state folder in the artifact.
        files: State, manifest and `.gitignore`, sorted by target.
        manifest: The file that holds the manifest.
    """

    folder: str
    files: tuple[PackedFile, ...]
    manifest: Path


def bundle(generation: Generation, defs_folder: str, scratch: Path) -> Bundle:
    """Lay out `generation` for an artifact.

    Args:
        generation: The state.
        defs_folder: Path of the defs folder in the artifact.
        scratch: A folder for the files that are not there yet.
    """
    folder = PurePosixPath(defs_folder, FOLDER_NAME)
    written = {
        manifest_file.FILE_NAME: generation.manifest.to_bytes(),
        GITIGNORE_NAME: GITIGNORE,
    }
    sources = dict(generation.files)
    for name, content in written.items():
        sources[name] = scratch / name.lstrip(".")
        sources[name].write_bytes(content)
    files = (PackedFile(source, str(folder / path)) for path, source in sorted(sources.items()))
    return Bundle(str(folder), tuple(files), sources[manifest_file.FILE_NAME])


def dg_file(project: Project) -> str | None:
    """Return the `dg.toml` that an installed Dagster package needs; `None` for other projects.

    Dagster looks for a configuration file above the installed package. Without one it does not
    load, and a `pyproject.toml` in site-packages is that of the project installed last.
    """
    if project.config.dg is None:
        return None
    values: Mapping[str, Any] = {"root_module": project.root_module, **project.config.dg}
    lines = [
        f"{name} = {json.dumps(values[name])}"
        for name in _DG_KEYS
        if isinstance(values.get(name), str)
    ]
    return "\n".join(['directory_type = "project"', "", "[project]", *lines, ""])
