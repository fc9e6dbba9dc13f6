"""dbt projects: written from a copy, because dbt writes into the folder that it works in.

`DbtProjectArgsManager.sync` of dagster-dbt runs dbt in the project's own folder, where
it leaves `target/`, `dbt_packages/`, `package-lock.yml` and lock files, and then copies that folder
into the state. No setting moves them all. Building an artifact must not change the source tree, and
what an earlier run left in it is not the state.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

from hatch_defs_state.components.declaration import InputFolder

_MADE_BY_DBT = ("target", "logs", "dbt_packages")
_DERIVED = ("target", "logs", ".git", ".venv", "__pycache__", ".user.yml")
_DEPENDENCY_FILES = ("packages.yml", "dependencies.yml")


def with_project_copy(component: Any, state_path: Path) -> Any:
    """Return `component` with its dbt project replaced by a copy; unchanged when it has none.

    Args:
        component: Any state-backed component of Dagster's.
        state_path: Where its state will be written; the copy is made beside the folder of it.
    """
    original = _project_folder(component)
    if original is None:
        return component
    folder = state_path.parent
    place = folder.parent.with_name(f"dbt-{folder.parent.name}") / folder.name
    duplicate = _copy_beside_links(original.resolve(), place)
    replaced = copy.copy(component)
    # `cached_property` keeps its values in the instance: copies must not inherit them.
    for name in ("_project_manager", "dbt_project"):
        vars(replaced).pop(name, None)
    arguments = dataclasses.replace(component.project.args, project_dir=str(duplicate))
    replaced.project = dataclasses.replace(component.project, args=arguments)
    return replaced


def input_folders(component: Any, project_root: Path) -> tuple[InputFolder, ...]:
    """Return the folder of the component's dbt project, without what dbt makes in it."""
    folder = _project_folder(component)
    if folder is None:
        return ()
    name = Path(os.path.relpath(folder, project_root)).as_posix()
    return (InputFolder(name, _MADE_BY_DBT),)


def _project_folder(component: Any) -> Path | None:
    arguments = getattr(getattr(component, "project", None), "args", None)
    folder = getattr(arguments, "project_dir", None)
    if isinstance(folder, (str, Path)) and Path(folder, "dbt_project.yml").is_file():
        return Path(folder)
    return None


def _copy_beside_links(original: Path, place: Path) -> Path:
    """Copy `original` into `place`, with links to its neighbours, which `../` in it may mean."""
    place.mkdir(parents=True)
    for neighbour in original.parent.iterdir():
        if neighbour.name != original.name:
            try:
                (place / neighbour.name).symlink_to(neighbour)
            except OSError:
                break
    derived = list(_DERIVED)
    if any((original / name).is_file() for name in _DEPENDENCY_FILES):
        derived.append("dbt_packages")
    target = place / original.name

    def ignore(folder: str, names: list[str]) -> set[str]:
        return set(names) & set(derived) if Path(folder) == original else set()

    shutil.copytree(original, target, ignore=ignore)
    return target
