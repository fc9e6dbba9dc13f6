"""Folders in the cache: filled without copying, and not removed while somebody uses them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_defs_state.storage.generation import Generation

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNHELD_SECONDS = 3600.0
"""How long a generation is left alone where there are no shared locks."""


def place_in_cache(name: str, root: Path) -> tuple[str, str]:
    """Return the path, below the cache folder, of what is kept about a project.

    Args:
        name: The project's name.
        root: The project's folder.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:40]
    digest = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return "projects", f"{safe}-{digest}"


class Holds:
    """Folders that this process uses: others do not remove them meanwhile."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def hold(self, folder: Path) -> bool:
        """Hold `folder`.

        Returns:
            Whether it is held; it is not when there is none, or somebody is about to remove it.
        """
        try:
            if fcntl is None:
                os.utime(folder)
                return True
            descriptor = os.open(folder, os.O_RDONLY)
            self._descriptors.append(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let go of everything."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def is_held(folder: Path) -> bool:
    """Whether another process, or this one, uses `folder`."""
    with unheld(folder) as free:
        return not free


@contextlib.contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Tell whether nobody uses `folder`; if so, nobody can hold it during the block."""
    if fcntl is None:
        yield time.time() - folder.stat().st_mtime >= _UNHELD_SECONDS
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_unheld(folders: Iterable[Path]) -> None:
    """Remove those generations that nobody uses."""
    for folder in folders:
        # Another refresh may be removing it, too.
        with contextlib.suppress(OSError):
            if not is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path, generation: Generation, run: Path) -> None:
    """Put the files of `generation` into the empty `folder`, one folder a key.

    A key's folder that a writer left in `run`, and that holds just what the manifest lists, is
    moved as a whole. All other files become second names of the same content; copies where links
    cannot be made.
    """
    by_key: dict[str, dict[str, Path]] = defaultdict(dict)
    for path, source in generation.files.items():
        name, _, rest = path.partition("/")
        by_key[name][rest] = source
    for name, files in by_key.items():
        target = folder / name
        written = _written_folder(files, run)
        if written is not None and _holds_just(written, files):
            written.rename(target)
        else:
            for path, file in files.items():
                place = target / path
                place.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(file, place)


def _written_folder(files: Mapping[str, Path], run: Path) -> Path | None:
    path, source = next(iter(files.items()))
    depth = len(PurePosixPath(path).parts)
    folder = source.parents[depth - 1]
    return folder if folder.is_relative_to(run) else None


def _holds_just(folder: Path, files: Mapping[str, Path]) -> bool:
    """Whether `folder` has these files and nothing else: no link, nothing that was excluded."""
    count, rest = 0, [str(folder)]
    while rest:
        with os.scandir(rest.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    return False
                if entry.is_dir():
                    rest.append(entry.path)
                else:
                    count += 1
    return count == len(files)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
