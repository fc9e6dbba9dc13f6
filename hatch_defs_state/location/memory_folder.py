"""A folder in memory, for state that must not get to a disk.

On Linux it is in `/dev/shm`, a file system in memory (whose pages may be swapped out like those of
any process), readable by this user alone. Elsewhere there is no such place: it is a temporary
folder on disk there, and its users have to remove it as soon as they can (`is_on_disk`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.location.holds import Hold, alone, held

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - in memory, and the folder in it is checked
_LOCK = "lock"


class MemoryFolder:
    """A new folder that is removed by `close`, or by somebody else when this process was killed.

    Forks share it: it goes when the last of them has ended or closed it.

    Raises:
        StateError: There is no room.
    """

    def __init__(self) -> None:
        in_memory = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)
        self.is_on_disk = not in_memory
        base = SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
        user = os.getuid() if hasattr(os, "getuid") else "user"
        self._base = base / f"hatch-defs-state-snapshots-{user}"
        self._hold = Hold(self._base / "holds")
        name = uuid.uuid4().hex
        self.path = self._base / "folders" / name
        with self.errors(), self._alone():
            _remove_abandoned(self._base)
            self._hold.add([name])
            self.path.mkdir(mode=0o700, parents=True)

    def close(self) -> None:
        """Remove it, unless a fork of this process, or its parent, uses it as well."""
        self._hold.release()
        with contextlib.suppress(OSError), self._alone():
            _remove_abandoned(self._base)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Say what a block wanted, when the system refuses it.

        Raises:
            StateError: The block raised `OSError`.
        """
        try:
            yield
        except OSError as error:
            raise StateError(
                f"snapshots cannot be kept in {self._base}: {error.strerror or error}",
                hint="make more shared memory (`docker run --shm-size`), or use another "
                "management type",
            ) from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._base.mkdir(mode=0o700, exist_ok=True)
        facts = self._base.lstat()
        if not stat.S_ISDIR(facts.st_mode) or _is_foreign(facts):
            raise PermissionError(1, "another user has made that folder")
        with alone(self._base / _LOCK):
            yield


def _is_foreign(facts: os.stat_result) -> bool:
    return hasattr(os, "getuid") and facts.st_uid != os.getuid()


def _remove_abandoned(base: Path) -> None:
    in_use = set(held(base / "holds"))
    with contextlib.suppress(FileNotFoundError):
        for folder in list((base / "folders").iterdir()):
            if folder.name not in in_use:
                shutil.rmtree(folder, ignore_errors=True)
