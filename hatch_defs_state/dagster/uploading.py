"""What Dagster wants to have uploaded, as the folder of a key."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.refresh.judge import compile_exclude
from hatch_defs_state.settings.model import DEFAULT_EXCLUDE
from hatch_defs_state.storage.versioned.versions import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def key_folder(path: Path) -> Iterator[Path]:
    """Provide what is to be stored for the state at `path`.

    Dagster gives a writer a temporary folder of its own, in which the state is called `state`:
    other files in it belong to the state. What never ships does not go into a store either.

    Yields:
        The state's file, or a folder with `state` and what belongs to it.
    """
    is_writers_own = path.name == STATE and _is_temporary(path.parent)
    if path.is_file() and not (is_writers_own and _has_siblings(path)):
        yield path
        return
    root, prefix = (path.parent, "") if is_writers_own else (path, f"{STATE}/")
    with tempfile.TemporaryDirectory(prefix="defs-state-") as name:
        for relative in compile_exclude(DEFAULT_EXCLUDE).match_tree_files(root, negate=True):
            _link(root / relative, Path(name, prefix + relative), root)
        yield Path(name)


def _has_siblings(path: Path) -> bool:
    return any(entry != path for entry in path.parent.iterdir())


def _is_temporary(folder: Path) -> bool:
    return folder.parent.resolve() == Path(tempfile.gettempdir()).resolve()


def _link(source: Path, target: Path, root: Path) -> None:
    real = source.resolve()
    if not real.is_relative_to(root.resolve()):
        raise StateError(f"{source} is a link that leaves the state folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
