"""What differs between operating systems when folders are locked, swapped and synced."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_AT_FDCWD_LINUX = -100
_AT_FDCWD_DARWIN = -2
_RENAME_EXCHANGE = 2  # Linux, renameat2(2)
_RENAME_SWAP = 2  # macOS, renamex_np(2)
# EXDEV: a folder in the lower layer of an overlay file system.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for `folder`, then enter it.

    The folder itself is locked, so that nothing has to lie beside it and every process that can
    write into it meets the same lock. A file system that cannot lock folders (some network file
    systems, Windows) is used without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def exchange(first: Path, second: Path) -> bool:
    """Swap two existing folders at once, where system and file system can.

    Returns:
        Whether it was done; nothing has changed otherwise.

    Raises:
        OSError: The system can, and refuses these two.
    """
    call = _exchange_call()
    if call is None:
        return False
    if call(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNSUPPORTED:
        return False
    raise OSError(error, os.strerror(error), str(first), None, str(second))


@functools.cache
def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            renameat2 = library.renameat2
            return lambda a, b: int(
                renameat2(_AT_FDCWD_LINUX, a, _AT_FDCWD_LINUX, b, _RENAME_EXCHANGE)
            )
        if sys.platform == "darwin":
            renameatx_np = library.renameatx_np
            return lambda a, b: int(
                renameatx_np(_AT_FDCWD_DARWIN, a, _AT_FDCWD_DARWIN, b, _RENAME_SWAP)
            )
    except (AttributeError, OSError, TypeError):
        pass
    return None


def sync_tree(folder: Path) -> None:
    """Bring everything below `folder` to the disk."""
    if _sync_file_system(folder):
        return
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(os.path.join(parent, name), os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # noqa: PTH118
        sync_folder(parent)


def _sync_file_system(folder: Path) -> bool:
    """Sync the whole file system of `folder` in one call: faster than thousands of single ones."""
    if sys.platform != "linux":
        return False
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
        descriptor = os.open(folder, os.O_RDONLY)
    except (AttributeError, OSError):
        return False
    try:
        return int(syncfs(descriptor)) == 0
    finally:
        os.close(descriptor)


def sync_folder(folder: Path | str) -> None:
    """Bring the names in `folder` to the disk; Windows does so by itself."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path | str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
