"""A store in the memory of this process: for tests, and to try things out."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    VersionConflictError,
)
from hatch_defs_state.storage.versioned.objects import CHUNK, ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.storage.versioned.objects import Source

_named: dict[str, MemoryStore] = {}
_lock = threading.Lock()


def named_store(url: str) -> MemoryStore:
    """Return the store of that URL; the same one for the same URL."""
    with _lock:
        return _named.setdefault(url.rstrip("/"), MemoryStore(url))


class MemoryStore(ObjectStore):
    """Objects as values of a dictionary."""

    creates_in_one_step = True

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def create(self, path: str, data: bytes) -> None:
        """Create a small object, if none is there."""
        with self._lock:
            if path in self._objects:
                raise ObjectExistsError(f"{path} exists in {self.url}")
            self._objects[path] = (bytes(data), time.time())

    def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002 - always is
        """Create or overwrite a small object."""
        with self._lock:
            self._objects[path] = (bytes(data), time.time())

    def put_files(self, files: Mapping[str, Source]) -> frozenset[str]:
        """Store immutable content."""
        existing = set()
        for path, source in files.items():
            data = b"".join(source.read())
            try:
                self.create(path, data)
            except ObjectExistsError:
                existing.add(path)
                if self.size(path) != source.entry.size:
                    raise VersionConflictError(
                        f"{path} in {self.url} holds other content already"
                    ) from None
        return frozenset(existing)

    def get(self, path: str) -> bytes:
        """Return a small object."""
        with self._lock:
            if path not in self._objects:
                raise ObjectNotFoundError(f"there is no {path} in {self.url}")
            return self._objects[path][0]

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        data = self.get(path)
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]

    def size(self, path: str) -> int | None:
        """Return the size of an object in bytes, or `None` when there is none."""
        with self._lock:
            return len(self._objects[path][0]) if path in self._objects else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder, in no order; `""` means all."""
        with self._lock:
            found = list(self._objects.items())
        for path, (data, modified) in found:
            if not prefix or path.startswith(f"{prefix}/"):
                yield ObjectInfo(path, len(data), modified)

    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""
        with self._lock:
            self._objects.pop(path, None)
