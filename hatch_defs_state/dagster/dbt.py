"""dbt projects: written from a copy, because dbt writes into the folder that it works in.

`DbtProjectArgsManager.sync` of dagster-dbt runs dbt in the project's own folder, where
it leaves `target/`, `dbt_packages/`, `package-lock.yml` and lock files, and then copies that folder
into the state. No setting moves them all. Building an artifact must not change the source tree, and
what an earlier run left in it is not the state.
"""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path
from typing import Any

_DERIVED = ("target", "logs", ".git", ".venv", "__pycache__", ".user.yml")
_DEPENDENCY_FILES = ("packages.yml", "dependencies.yml")


def with_project_copy(component: Any, state_path: Path) -> Any:
    """Return `component` with its dbt project replaced by a copy; unchanged when it has none.

    Args:
        component: Any state-backed component of Dagster's.
        state_path: Where its state will be written; the copy is made beside the folder of it.
    """
    manager: Any = getattr(component, "project", None)
    arguments: Any = getattr(manager, "args", None)
    folder = getattr(arguments, "project_dir", None)
    if not isinstance(folder, (str, Path)):
        return component
    original = Path(folder)
    if not (original / "dbt_project.yml").is_file():
        return component
    place = state_path.parent.with_name(f"{state_path.parent.name[:200]}.dbt") / "project"
    duplicate = _copy_beside_links(original.resolve(), place)
    replaced = copy.copy(component)
    # `cached_property` keeps its values in the instance: copies must not inherit them.
    for name in ("_project_manager", "dbt_project"):
        vars(replaced).pop(name, None)
    replaced.project = dataclasses.replace(
        manager, args=dataclasses.replace(arguments, project_dir=str(duplicate))
    )
    return replaced


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
