"""A folder that processes fill together, and keep small, without removing what any of them uses."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.location import eviction
from hatch_defs_state.location.entries import Entries
from hatch_defs_state.location.holds import Hold, alone, held
from hatch_defs_state.location.last_pinned import recorded_entries
from hatch_defs_state.storage.cache import CACHE_VARIABLE
from hatch_defs_state.storage.versioned.parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from hatch_defs_state.location.entries import EntryName
    from hatch_defs_state.storage.versioned import VersionManifest

    Fill = Callable[[EntryName, Path], VersionManifest]

_log = logging.getLogger(__name__)
_ATTEMPTS = 10
_ABANDONED_SECONDS = 86400.0


class SharedFolder:
    """Entries that are made once, and stay while somebody holds them.

    Args:
        folder: Where it is.
        limit: Bytes that it may have, unless more is in use.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self.pinned = folder / "pinned"
        self.entries = Entries(folder)
        self._hold = Hold(folder / "holds")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of everything that was asked for."""
        self._hold.release()

    def find_all(self, names: Mapping[str, EntryName]) -> dict[str, Path]:
        """Return the folders of those entries that are there, whole and unaltered, and hold them.

        Raises:
            StateError: The folder cannot be written.
        """
        self._declare(names.values())
        return {
            key: self.entries.content(name)
            for key, name in names.items()
            if self.entries.find(name) is not None
        }

    def provide_all(self, names: Mapping[str, EntryName], fill: Fill) -> dict[str, Path]:
        """Return the folders of entries, hold them, and make those that are missing.

        Args:
            names: The entries.
            fill: Puts the files of an entry among the shared ones, by way of a folder for
                unfinished files, and returns what it consists of.

        Raises:
            StateError: The folder cannot be written; and what `fill` raises.
        """
        self._declare(names.values())
        made = run_all(lambda name: self._provide(name, fill), names.values())
        if any(made):
            self.trim()
        return {key: self.entries.content(name) for key, name in names.items()}

    def trim(self) -> None:
        """Remove what nobody holds, the longest unused first, until the folder is small enough.

        What a code location has pinned last goes only when the rest does not suffice.
        """

        def trim() -> None:
            with self._alone(self.folder / "lock"):
                in_use = frozenset(held(self.folder / "holds"))
                last = recorded_entries(self.pinned)
                victims = eviction.evict(self.entries, self.limit, in_use, last)
            eviction.remove(victims)

        self._persistently(trim)
        self._remove_abandoned()

    def _declare(self, names: Iterable[EntryName]) -> None:
        """Hold entries before they are looked for: what is found then stays."""
        ids = [name.id for name in names]

        def add() -> None:
            with self._alone(self.folder / "lock"), self._lock:
                self._hold.add(ids)

        self._persistently(add)

    def _provide(self, name: EntryName, fill: Fill) -> bool:
        """Make an entry unless it is there; return whether it was made."""
        made = False

        def provide() -> None:
            nonlocal made
            while self.entries.find(name) is None:
                self._declare([name])
                self._make(name, fill)
                made = True

        self._persistently(provide)
        return made

    def _persistently(self, work: Callable[[], None]) -> None:
        """Do something again when somebody removes the cache, or parts of it, meanwhile."""
        for attempt in range(_ATTEMPTS):
            try:
                work()
            except (OSError, StateError) as error:
                reason = error if isinstance(error, OSError) else error.__cause__
                is_last = attempt == _ATTEMPTS - 1
                if isinstance(reason, (FileNotFoundError, FileExistsError)) and not is_last:
                    time.sleep(0.01 * attempt)
                elif isinstance(error, StateError):
                    raise
                else:
                    raise self._refused(error) from error
            else:
                return

    def _make(self, name: EntryName, fill: Fill) -> None:
        with self._alone(self.entries.work / f"{name.id}.lock"):
            # Another process may have made it while this one waited.
            if self.entries.find(name) is not None:
                return
            if self.entries.folder(name).exists():
                _log.warning(
                    "the copy of version %s of %s in %s is damaged and is replaced",
                    name.version,
                    name.key,
                    self.folder,
                )
            with self.entries.working() as work:
                self.entries.install(name, fill(name, work), work)

    @contextlib.contextmanager
    def _alone(self, file: Path) -> Iterator[None]:
        self.entries.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(file):
            yield

    def _remove_abandoned(self) -> None:
        """Remove what processes that were killed had not finished."""
        with contextlib.suppress(OSError):
            for path in list((self.folder / "work").iterdir()):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    eviction.remove([path])

    def _refused(self, error: OSError) -> StateError:
        return StateError(
            f"the cache {self.folder} cannot be used: {error.strerror or error}",
            hint=f"make room there, or set {CACHE_VARIABLE} to another folder",
        )
