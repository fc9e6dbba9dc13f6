"""Where a refresh works: a folder of its own in the user's cache, beside what earlier ones left.

Everything about a project lies in one folder of the cache: `runs/` with a folder for every refresh
that is under way, `generations/` with the files of the last good one, `record.json` about it, the
lock, and `root`, which says where the project is. Removing any of it costs time only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.refresh.keeping import Holds, fill, is_held, place_in_cache, remove_unheld
from hatch_defs_state.refresh.record import Record
from hatch_defs_state.storage.cache import own_folder
from hatch_defs_state.storage.generation import FilesBelow, Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from hatch_defs_state.project import ProjectConfig

_FORGOTTEN_SECONDS = 86400.0


class Workspace:
    """What is kept about one project, and the folder of the refresh that is under way.

    A context manager that removes the folder of the run.

    Args:
        folder: The project's folder in the cache.
        root: The project's own folder.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self._root = root
        self._run: tuple[Path, Any] | None = None
        self._held = Holds()
        self._removal: threading.Thread | None = None

    @classmethod
    def of(cls, config: ProjectConfig) -> Workspace:
        """Return the workspace of a project, in the cache or, where that cannot be, a new folder.

        Raises:
            StateError: No folder can be written.
        """
        place = place_in_cache(config.name, config.root)
        return cls(own_folder(*place, inside=("runs", "generations")), config.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._removal is not None:
            self._removal.join()
        self._held.release()
        if self._run is not None:
            folder, lock = self._run
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
            self._run = None

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[str], None]) -> Iterator[Path]:
        """Keep other refreshes of the project waiting, and make the folder of this run.

        Args:
            waiting: Called with a description of the process that has to end first, if any.

        Yields:
            The empty folder of this run, which outlives the block.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / "lock")
        holder = self.folder / "holder.json"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting(_describe_holder(holder))
            lock.acquire()
        try:
            holder.write_text(json.dumps({"pid": os.getpid(), "since": time.time()}), "utf-8")
            self._remove_abandoned()
            yield self._new_run()
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def _new_run(self) -> Path:
        from filelock import FileLock

        folder = self.folder / "runs" / uuid.uuid4().hex
        # Held while this process lives: how others tell a run from what a killed one left.
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
        folder.mkdir(mode=0o700)
        self._run = folder, lock
        return folder

    def _remove_abandoned(self) -> None:
        from filelock import FileLock, Timeout

        for path in (self.folder / "runs").glob("*.lock"):
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            lock.release()
            path.unlink(missing_ok=True)

    def record(self) -> Record | None:
        """Return the record of the last refresh; `None` when there is none that can be read."""
        try:
            return Record.parse((self.folder / "record.json").read_bytes())
        except OSError:
            return None

    def kept(self, record: Record) -> Generation:
        """Return the generation that `record` is about, unverified; it stays until the end."""
        files = FilesBelow(self.hold(record), record.manifest.files)
        return Generation(record.manifest, files)

    def hold(self, record: Record) -> Path:
        """Return the folder of the generation that `record` is about; it stays until the end."""
        folder = self.folder / "generations" / record.generation
        self._held.hold(folder)
        return folder

    def keep(self, generation: Generation, record: Record) -> Generation:
        """Keep a generation and its record for the next refresh; only one that is `alone` may.

        Args:
            generation: The state; files that lie in the folder of this run may be moved.
            record: About it; names the folder that is made for it.

        Returns:
            The same generation, its files where they are kept.
        """
        assert self._run is not None  # noqa: S101 - `alone` has made it
        run = self._run[0]
        folder = self.folder / "generations" / record.generation
        folder.mkdir(mode=0o700)
        fill(folder, generation, run)
        temporary = run / "record.json"
        with temporary.open("wb") as file:
            file.writelines(record.lines())
        temporary.replace(self.folder / "record.json")
        (self.folder / "root").write_bytes(os.fsencode(self._root))
        kept = self.kept(record)
        # Listed while no other refresh makes one, and removed while this one is packed.
        others = [each for each in folder.parent.iterdir() if each != folder]
        self._removal = threading.Thread(target=self._remove, args=(others,))
        self._removal.start()
        return kept

    def _remove(self, generations: list[Path]) -> None:
        remove_unheld(generations)
        for folder in self.folder.parent.iterdir():
            with contextlib.suppress(OSError):
                _remove_forgotten(folder)


def _remove_forgotten(folder: Path) -> None:
    """Remove what is kept about a project that is gone, such as an unpacked source archive.

    Not at once: a cache may be shared by machines that see other projects.
    """
    from filelock import FileLock, Timeout

    root = Path(os.fsdecode((folder / "root").read_bytes()))
    unused = time.time() - (folder / "record.json").stat().st_mtime
    if root.exists() or unused < _FORGOTTEN_SECONDS:
        return
    with contextlib.suppress(Timeout), FileLock(folder / "lock", timeout=0):
        if not any(is_held(each) for each in (folder / "generations").iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


def _describe_holder(holder: Path) -> str:
    try:
        content = json.loads(holder.read_bytes())
        since = time.strftime("%H:%M:%S", time.localtime(content["since"]))
        return f"process {content['pid']}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
