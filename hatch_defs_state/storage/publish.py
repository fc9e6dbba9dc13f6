"""Putting a generation in the place of another one, whole or not at all.

The new generation is written beside the old one, synced, and exchanged with it. Where the system
cannot exchange two folders, the names tell how far a pair of renames got: while `.old` exists, a
swap is under way, and `recover` completes or undoes it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StateError
from hatch_defs_state.storage import exchange as system
from hatch_defs_state.storage import generation as generations

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.generation import Generation


def publish(generation: Generation, target: Path) -> None:
    """Make `generation` the content of the folder `target`.

    A crash at any moment leaves the old or the new generation, and nothing that `recover` does not
    remove.

    Raises:
        StateError: The disk refuses, or a file changed since it was judged; `target` is unchanged.
    """
    new = _beside(target, "new")
    try:
        recover(target)
        generations.write(generation, new)
        system.sync_tree(new)
        _swap(new, target)
    except OSError as error:
        _remove(new)
        raise StateError(
            f"the state cannot be written to {target}: {error.strerror or error}",
            hint="nothing was changed there",
        ) from error
    except BaseException:
        _remove(new)
        raise


def recover(target: Path) -> None:
    """Complete or undo what a crash interrupted, and remove what it left behind.

    Raises:
        OSError: The disk refuses.
    """
    new, old = _beside(target, "new"), _beside(target, "old")
    if old.exists() and not target.exists():
        _rename(new if _is_complete(new) else old, target)
    _remove(new)
    _remove(old)


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        _rename(new, target)
    elif system.exchange(new, target):
        system.sync_folder(target.parent)
        _remove(new)
    else:
        old = _beside(target, "old")
        _rename(target, old)
        _rename(new, target)
        _remove(old)


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.name}.{suffix}")


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    system.sync_folder(target.parent)


def _is_complete(folder: Path) -> bool:
    try:
        generations.read(folder)
    except (DefsStateError, OSError):
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove a folder; its manifest first, so that no half of it can pass for a generation."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        (folder / generations.MANIFEST_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder)
