"""The folder of this user for files that can be made again; removing it costs time only."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_VARIABLE = "DEFS_STATE_CACHE_DIR"
_NAME = "hatch-defs-state"


def cache_folder() -> Path:
    """Return the cache folder of this user: `DEFS_STATE_CACHE_DIR`, or the system's place."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).absolute()
    if sys.platform in {"darwin", "win32"}:
        import platformdirs

        return Path(platformdirs.user_cache_dir(_NAME, appauthor=False))
    # The rule of the XDG base directories in one line: a rebuild that reuses everything is over
    # before the library that knows it is imported.
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), _NAME)  # noqa: PTH111


def own_folder(*parts: str, inside: tuple[str, ...] = ()) -> Path:
    """Make a folder in the cache or, where that cannot be written, in the temporary folder.

    Args:
        parts: Its path below the cache folder.
        inside: Folders to make in it.

    Raises:
        StateError: Neither can be written by this user alone.
    """
    for base in _bases():
        folder = base.joinpath(*parts)
        with contextlib.suppress(OSError):
            for part in (base, folder, *(folder / name for name in inside)):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(folder / "".join(inside[:1]), os.W_OK) and _is_own(base):
                return folder
    from hatch_defs_state.errors import StateError

    raise StateError(
        f"neither {cache_folder()} nor {_fallback()} can be written",
        hint=f"set {CACHE_VARIABLE} to a folder for the files of refreshes and code locations",
    )


def existing_folders(*parts: str) -> Iterator[Path]:
    """Yield the folders in the cache, and in the temporary folder, that this user has made.

    Args:
        parts: Their path below the cache folder.
    """
    for base in _bases():
        folder = base.joinpath(*parts)
        if folder.is_dir() and _is_own(base):
            yield folder


def _bases() -> Iterator[Path]:
    return filter(Path.is_absolute, (cache_folder(), _fallback()))


def _fallback() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"{_NAME}-{user}")


def _is_own(folder: Path) -> bool:
    """Whether nobody else made `folder`: in a shared place, its content could be anyone's."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
