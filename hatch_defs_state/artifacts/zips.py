"""Zip files, whose members are measured as files on disk are."""

from __future__ import annotations

import threading
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hatch_defs_state.storage.measure import FileEntry, measure_all, measure_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ZipArchive:
    """A zip file, or what lies below a folder in it."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.names = [name for name in archive.namelist() if not name.endswith("/")]

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        return self._archive.read(name)

    def measure(self, names: Sequence[str]) -> dict[str, FileEntry]:
        """Measure files; several at a time where there is much to unpack."""
        own = threading.local()
        own.archive = self._archive
        with ExitStack() as stack:

            def measure_member(name: str) -> FileEntry:
                # What a `ZipFile` counts of its open members is not safe in other threads.
                if not hasattr(own, "archive"):
                    own.archive = stack.enter_context(zipfile.ZipFile(self.path))
                with own.archive.open(name) as file:
                    return measure_stream(file)

            size = sum(self._archive.getinfo(name).file_size for name in names)
            return dict(zip(names, measure_all(names, measure_member, size), strict=True))
