"""Keeping the cache small: what nobody holds goes, the longest unused first."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hatch_defs_state.location.entries import Entries

SIZE_VARIABLE = "DEFS_STATE_CACHE_SIZE"
_DEFAULT = 5 * 10**9
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def limit_of_environment() -> int:
    """Return how many bytes the cache may have.

    Raises:
        SettingsError: The environment says so in a way that is not understood.
    """
    text = os.environ.get(SIZE_VARIABLE)
    if not text:
        return _DEFAULT
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f'environment: {SIZE_VARIABLE}: expected a size such as "500MB" or "5GB", got {text!r}'
        )
    return int(float(match[1]) * _UNITS[(match[2] or "B").lower()])


@dataclass
class _Entry:
    """An entry of the cache: its files by identity, and when it was used last."""

    folder: Path
    used: float
    files: frozenset[tuple[int, int]]


def evict(entries: Entries, limit: int, held: Collection[str], last: Collection[str]) -> list[Path]:
    """Take entries out of their places until the rest is not larger than `limit`.

    Nobody may hold an entry meanwhile.

    Args:
        entries: The files of the cache.
        limit: Bytes.
        held: Entries that stay.
        last: Entries that go only when all others do not suffice.

    Returns:
        What is to be removed with `remove`, when others need not wait any more.
    """
    sizes: dict[tuple[int, int], int] = {}
    found = list(_measure(entries.states, sizes))
    shared = {identity: path for path, identity in _walk(entries.files, sizes)}
    names = Counter(identity for entry in found for identity in entry.files)
    total = sum(sizes.values())
    waste = [path for identity, path in shared.items() if identity not in names]
    victims: list[Path] = []
    if total > limit:
        total -= sum(sizes[identity] for identity in shared if identity not in names)
        victims += waste
    for entry in sorted(found, key=lambda one: (one.folder.name in last, one.used)):
        if total <= limit:
            break
        if entry.folder.name in held:
            continue
        names.subtract(entry.files)
        gone = [identity for identity in entry.files if not names[identity]]
        total -= sum(sizes[identity] for identity in gone)
        victims += [shared[identity] for identity in gone if identity in shared]
        victims.append(entry.folder)
    return [moved for path in victims if (moved := _set_aside(path, entries.work))]


def remove(paths: Collection[Path]) -> None:
    """Remove what `evict` has taken out of its place."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _measure(states: Path, sizes: dict[tuple[int, int], int]) -> Iterator[_Entry]:
    with contextlib.suppress(FileNotFoundError):
        for folder in list(states.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                used = folder.stat().st_mtime
                files = frozenset(identity for _, identity in _walk(folder, sizes))
                yield _Entry(folder, used, files)


def _walk(
    folder: Path, sizes: dict[tuple[int, int], int]
) -> Iterator[tuple[Path, tuple[int, int]]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):
                facts = path.lstat()
                identity = (facts.st_dev, facts.st_ino)
                sizes[identity] = facts.st_size
                yield path, identity


def _set_aside(path: Path, work: Path) -> Path | None:
    target = work / f"evicted-{uuid.uuid4().hex}"
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.rename(target)
    except OSError:  # gone already, or open on Windows
        return None
    return target
