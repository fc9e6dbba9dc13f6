"""Managed environments: kept in the user's cache under the digest of all that goes into them.

An environment is made in its place, while everybody else who wants it waits, and sealed by a
description that is written last. One that is not sealed, or no longer what its description says, is
made anew. One that nobody has used for a month is removed when another one is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.events import Notice
from hatch_defs_state.refresh.installed import installed_distributions
from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
from hatch_defs_state.refresh.keeping import Holds, unheld
from hatch_defs_state.storage.cache import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.refresh.events import Report
    from hatch_defs_state.refresh.interpreters.wanted import Wanted

SEAL = "defs-state.json"
_UNUSED_SECONDS = 30 * 86400.0


@contextlib.contextmanager
def environment(wanted: Wanted, report: Report) -> Iterator[Interpreter]:
    """Provide the environment that `wanted` describes; it stays until the end of the block.

    Args:
        wanted: What goes into it.
        report: Told when it is made, or another process makes it.

    Raises:
        DefsStateError: It cannot be made, or no folder for it can be written.
    """
    place = own_folder("environments")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", wanted.project)[:40]
    folder = place / f"{name}-{wanted.digest[:16]}"
    holds = Holds()
    try:
        while (interpreter := _take(folder, holds)) is None:
            holds.release()
            _make(wanted, folder, report)
        yield interpreter
    finally:
        holds.release()


def _take(folder: Path, holds: Holds) -> Interpreter | None:
    """Hold an environment and return its interpreter, if it is sealed and whole."""
    if not holds.hold(folder):
        return None
    interpreter = unseal(folder)
    if interpreter is not None:
        with contextlib.suppress(OSError):
            os.utime(folder / SEAL)
    return interpreter


def unseal(folder: Path) -> Interpreter | None:
    """Return the interpreter of an environment; `None` when it is not what was once made there."""
    try:
        content = json.loads((folder / SEAL).read_bytes())
        folders = tuple(map(str, content["folders"]))
        interpreter = Interpreter(str(content["executable"]), str(content["version"]), folders)
        installed = content["installed"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The Python that it was made with may be gone, and what cleans up caches takes single files.
    whole = os.path.exists(interpreter.executable) and installed == installed_distributions(folders)  # noqa: PTH110
    return interpreter if whole else None


def _seal(folder: Path, interpreter: Interpreter) -> None:
    content = {
        "executable": interpreter.executable,
        "version": interpreter.version,
        "folders": interpreter.folders,
        "installed": installed_distributions(interpreter.folders),
    }
    temporary = folder / f"{SEAL}.new"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(folder / SEAL)


def _make(wanted: Wanted, folder: Path, report: Report) -> None:
    from filelock import FileLock, Timeout

    from hatch_defs_state.refresh.interpreters.making import make

    lock = FileLock(_lock_of(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(Notice("another process makes the environment for the writers; waiting"))
        lock.acquire()
    try:
        if unseal(folder) is not None:
            return
        tool = "pip" if wanted.uv is None else "uv"
        report(Notice(f"making an environment for the writers from {wanted.source} with {tool}"))
        started = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        log = folder.with_name(f"{folder.name}.log")
        try:
            _seal(folder, make(wanted, folder, log))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            log.unlink(missing_ok=True)
        seconds = time.monotonic() - started
        report(Notice(f"the environment is made in {seconds:.1f} s, and kept for later builds"))
    finally:
        lock.release()
    prune(folder.parent)


def prune(place: Path, now: float | None = None) -> None:
    """Remove environments that nobody has used for a month.

    Args:
        place: Where environments are kept.
        now: The present time, in seconds since the epoch.
    """
    from filelock import FileLock, Timeout

    moment = time.time() if now is None else now
    for folder in place.iterdir():
        if not folder.is_dir() or moment - _last_use(folder) < _UNUSED_SECONDS:
            continue
        lock = FileLock(_lock_of(folder))
        with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0), unheld(folder) as free:
            if free:
                (folder / SEAL).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                Path(lock.lock_file).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _last_use(folder: Path) -> float:
    try:
        return (folder / SEAL).stat().st_mtime
    except OSError:
        return folder.stat().st_mtime
