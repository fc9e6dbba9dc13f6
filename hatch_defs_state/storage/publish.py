"""Putting a generation in the place of another one, whole or not at all.

The new generation is written beside the old one, synced, and exchanged with it. Where the system
cannot exchange two folders, the names tell how far a pair of renames got: while `.old` exists, a
swap is under way, and `recover` completes or undoes it. Where it cannot rename the old one either,
a copy of that becomes `.old`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.storage import exchange as system
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.generation import beside

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.generation import Generation


def publish(generation: Generation, target: Path) -> None:
    """Make `generation` the content of the folder `target`.

    A crash at any moment leaves the old or the new generation, and nothing that `recover` does not
    complete, undo or remove. Processes that publish to one folder do so one after another.

    Raises:
        StateError: The disk refuses, or a file changed since it was judged; `target` is unchanged.
    """
    with system.locked(target.parent):
        _recover(target)
        _replace(generation, target)
        # The new generation is in place: what cannot be removed now is removed by the next start.
        _try_to_remove_leftovers(target)


def _replace(generation: Generation, target: Path) -> None:
    new = beside(target, "new")
    try:
        generations.write(generation, new)
        system.sync_tree(new)
        _swap(new, target)
    except BaseException as error:
        # While `.old` is there, everything is needed by the next `recover`.
        if not beside(target, "old").exists():
            _try_to_remove_leftovers(target)
        if isinstance(error, OSError):
            raise _refused(target, error, "nothing was changed there") from error
        raise


def recover(target: Path) -> None:
    """Complete or undo what a crash interrupted, and remove what it left behind.

    Raises:
        StateError: The disk refuses.
    """
    with system.locked(target.parent):
        _recover(target)


def _recover(target: Path) -> None:
    new, old = beside(target, "new"), beside(target, "old")
    try:
        if old.exists() and not generations.is_whole(target):
            _remove(target)
            _rename(new if generations.is_whole(new) else old, target)
        _remove_leftovers(target)
    except OSError as error:
        hint = "an interrupted refresh left folders beside it that cannot be moved or removed"
        raise _refused(target, error, hint) from error


def _refused(target: Path, error: OSError, hint: str) -> StateError:
    reason = error.strerror or error
    return StateError(f"the state cannot be written to {target}: {reason}", hint=hint)


def _swap(new: Path, target: Path) -> None:
    """Put `new` in the place of `target`; undo everything when a step of it fails."""
    before = target.stat() if target.exists() else None
    try:
        if before is None:
            _rename(new, target)
        elif system.exchange(new, target):
            system.sync_folder(target.parent)
        else:
            _set_aside(target)
            _rename(new, target)
    except BaseException as error:
        try:
            _undo(new, target, before)
        except OSError as second:
            hint = "the next refresh completes or undoes what was begun there"
            raise _refused(target, second, hint) from error
        raise


def _set_aside(target: Path) -> None:
    """Make `.old` of `target`, which is gone afterwards."""
    old = beside(target, "old")
    try:
        _rename(target, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of a lower layer of an overlay (an image that is being built) cannot be renamed.
        copy = beside(target, "copy")
        shutil.copytree(target, copy, symlinks=True)
        system.sync_tree(copy)
        _rename(copy, old)
        _remove(target)


def _undo(new: Path, target: Path, before: os.stat_result | None) -> None:
    old = beside(target, "old")
    if before is None:
        _remove(target)
    elif new.exists() and os.path.samestat(new.stat(), before):
        system.exchange(new, target)
    elif old.exists():
        _remove(target)
        old.rename(target)


def _try_to_remove_leftovers(target: Path) -> None:
    with contextlib.suppress(OSError):
        _remove_leftovers(target)


def _remove_leftovers(target: Path) -> None:
    for suffix in ("new", "copy", "old"):
        _remove(beside(target, suffix))


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    system.sync_folder(target.parent)


def _remove(folder: Path) -> None:
    """Remove a folder; its manifest first, so that no half of it can pass for a generation."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        (folder / generations.MANIFEST_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder)
