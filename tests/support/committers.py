"""Processes that commit to one store at the same time."""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.storage.versioned import VersionedStorage

if TYPE_CHECKING:
    from collections.abc import Mapping


def commit_concurrently(
    url: str, options: Mapping[str, Any], *, processes: int, commits: int
) -> list[str]:
    """Let each process push its own keys, one commit a key.

    Processes are spawned: object stores' clients do not survive a fork.

    Returns:
        What went wrong in them.
    """
    context = multiprocessing.get_context("spawn")
    barrier, errors = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_commit, args=(url, dict(options), number, commits, barrier, errors))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    failed = [f"exit code {worker.exitcode}" for worker in workers if worker.exitcode]
    for worker in workers:
        worker.kill()
    while not errors.empty():
        failed.append(errors.get())
    return failed


def _commit(
    url: str, options: dict[str, Any], number: int, commits: int, barrier: Any, errors: Any
) -> None:
    try:
        storage = VersionedStorage(url, options=options)
        with tempfile.TemporaryDirectory() as name:
            state = Path(name) / "state"
            barrier.wait()
            for commit in range(commits):
                state.write_text(f"{number} {commit}")
                storage.push({key_of(number, commit): state}, f"{number} {commit}")
    except BaseException:
        errors.put(traceback.format_exc())
        raise


def key_of(process: int, commit: int) -> str:
    """Return the key that a process commits in one of its rounds."""
    return f"process_{process}/key_{commit}"
