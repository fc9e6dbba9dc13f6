"""Processes that commit, roll back, pin, read and clean up one store at the same time."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import CommitNotFoundError, VersionNotFoundError
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.versioned import Retention, VersionedStorage, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYS = tuple(f"race/key {number}" for number in range(5))
_CONTENTS = 6
_NOTHING_KEPT = Retention(keep_commits=1, keep_age=0, grace=0)
_TTL = 30.0
_PINNED_SECONDS = 0.7


def race(url: str, options: Mapping[str, Any], seconds: float) -> tuple[Counter[str], list[str]]:
    """Let two committers, two readers and two clean-ups work on one store.

    Contents come back again and again, so that what is pushed is often what is being removed.

    Returns:
        How often each thing was done, and what went wrong.
    """
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    roles = [_commit, _commit, _read, _read, _clean_up, _clean_up]
    workers = [
        context.Process(target=_work, args=(role, url, dict(options), seed, seconds, answers))
        for seed, role in enumerate(roles)
    ]
    for worker in workers:
        worker.start()
    done: Counter[str] = Counter()
    failed: list[str] = []
    for _ in workers:
        counts, error = answers.get(timeout=seconds + 120)
        done += counts
        failed += [error] if error else []
    for worker in workers:
        worker.join(30)
    return done, failed


def _work(
    role: Callable[[VersionedStorage, random.Random, Counter[str], Path], None],
    url: str,
    options: dict[str, Any],
    seed: int,
    seconds: float,
    answers: Any,
) -> None:
    done: Counter[str] = Counter()
    error = ""
    storage = VersionedStorage(url, options=options)
    chance = random.Random(seed)
    deadline = time.monotonic() + seconds
    try:
        with tempfile.TemporaryDirectory() as name:
            while time.monotonic() < deadline:
                role(storage, chance, done, Path(name))
    except BaseException:
        error = f"{role.__name__}: {traceback.format_exc()}"
    answers.put((done, error))


def _commit(
    storage: VersionedStorage, chance: random.Random, done: Counter[str], folder: Path
) -> None:
    head = storage.head().serial
    if head > 3 and chance.random() < 0.2:
        # The commit before is history for a moment only.
        with contextlib.suppress(CommitNotFoundError, VersionNotFoundError):
            storage.rollback(head - 1)
            done["rollbacks"] += 1
        return
    keys = chance.sample(KEYS, chance.randint(1, 3))
    storage.push({key: write_state(folder, key, chance.randrange(_CONTENTS)) for key in keys})
    done["pushes"] += 1


def write_state(folder: Path, key: str, number: int) -> Path:
    """Write one of the contents of a key: of even ones a file, of odd ones also siblings."""
    target = folder / f"{folder_name(key)}-{number}"
    target.mkdir(exist_ok=True)
    (target / "state").write_text(f"{key} {number}")
    if number % 2:
        (target / "own").write_text(f"own {key} {number}")
        (target / "shared").write_text(f"shared {number // 2}")
    return target


def _read(storage: VersionedStorage, _: random.Random, done: Counter[str], folder: Path) -> None:
    commit, lease = storage.pin(ttl=_TTL)
    if not commit.serial:
        time.sleep(0.1)
        return
    versions = {key: value.version for key, value in commit.versions.items()}
    until = time.monotonic() + _PINNED_SECONDS
    with lease:
        while time.monotonic() < until:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                storage.fetch_all(versions, Path(name))
                for key in versions:
                    text = (Path(name) / folder_name(key) / "state").read_text()
                    assert text.startswith(key), text
            done["reads"] += len(versions)
            lease.renew(_TTL)
    done["pins"] += 1


def _clean_up(
    storage: VersionedStorage, chance: random.Random, done: Counter[str], _: Path
) -> None:
    found = collect(storage, _NOTHING_KEPT)
    done["removed"] += len(found.removed)
    done["forgotten"] += len(found.forgotten)
    done["cleanups"] += 1
    time.sleep(chance.random() * 0.05)
