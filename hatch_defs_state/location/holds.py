"""What this process uses in the cache, declared so that no other process removes it.

A hold is a file that names entries of the cache and is locked for as long as somebody needs them.
Forks share the lock: it ends with the last of them, or with an explicit release in each.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file that is open there cannot be removed, which tells the same
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait until nobody else is in such a block for `file`, in any process or thread.

    Raises:
        OSError: The file cannot be written.
    """
    if fcntl is None:
        from filelock import FileLock

        with FileLock(file):
            yield
        return
    # Waits in the system, where filelock would look every 50 ms.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(OSError):  # no locks there: what appears does so at once, anyway
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # By closing it alone, the lock would stay with a fork that was made meanwhile.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


class Hold:
    """Names of entries that stay in the cache until `release`.

    Adding and counting exclude each other by a lock of the caller's.

    Args:
        folder: The folder of all holds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()
        self._file: Path | None = None
        self._descriptor = -1
        self._process = os.getpid()

    def add(self, names: Iterable[str]) -> None:
        """Hold some more entries."""
        new = set(names) - self._names
        self._names |= new
        if self._is_open():
            os.write(self._descriptor, _lines(new))
        else:
            self._open()

    def release(self) -> None:
        """Let go of everything."""
        self._names.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._file is not None and self._process == os.getpid():
            remove_unless_held(self._file)
        self._file = None

    def _is_open(self) -> bool:
        """Whether the file is this process's own, and still where others look for it."""
        if self._file is None or self._process != os.getpid():
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._file.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        # The descriptor of the file before is a fork's share in its parent's hold, or of no use.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / uuid.uuid4().hex
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        if fcntl is not None:
            with contextlib.suppress(OSError):  # no locks there: what cannot be told counts as held
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._file, self._descriptor, self._process = file, descriptor, os.getpid()
        os.write(descriptor, _lines(self._names))


def held(folder: Path) -> Iterator[str]:
    """Yield the names that are held by anybody; remove holds that nobody has any more."""
    if not folder.is_dir():
        return
    for file in list(folder.iterdir()):
        if not remove_unless_held(file):
            with contextlib.suppress(FileNotFoundError):
                yield from file.read_text("ascii").split()


def remove_unless_held(path: Path) -> bool:
    """Remove a hold that no process has locked; return whether it is gone."""
    with contextlib.ExitStack() as stack:
        try:
            if fcntl is not None:
                descriptor = os.open(path, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError:
            return False
    return True


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode("ascii")
