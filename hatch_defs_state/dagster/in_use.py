"""Leases on the versions that a process has loaded: clean-up spares them while it lives."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from hatch_defs_state.errors import StorageError
from hatch_defs_state.storage.versioned import is_marker
from hatch_defs_state.storage.versioned.leases import LEASE_SECONDS

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned import VersionedStorage

_log = logging.getLogger(__name__)


class InUse:
    """What this process reads of one store. One object may be used by several threads.

    A code server leases what its definitions are built from, and so does the process of a run: what
    a run began with stays in the store until its process ends, whatever is reloaded meanwhile.

    Args:
        storage: The store.
    """

    def __init__(self, storage: VersionedStorage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._expected: dict[str, str] = {}
        self._held: set[tuple[str, str]] = set()
        self._process = os.getpid()

    def expect(self, info: Any) -> None:
        """Take note of versions that are probably read next, so that one lease does for all."""
        self._expected = _versions(info)

    def hold(self, key: str, version: str) -> None:
        """Lease a version that is about to be read, with those that will be read next."""
        with self._lock:
            if self._process != os.getpid():
                # The leases of the process that this one was forked from are not its own.
                self._process, self._held = os.getpid(), set()
            if (key, version) in self._held:
                return
            wanted = {**self._expected, **_pinned(), key: version}
            new = {key: value for key, value in wanted.items() if (key, value) not in self._held}
            self._held.update(new.items())
            note = f"process {os.getpid()} on {socket.gethostname()}"
            try:
                lease = self._storage.hold(new, ttl=LEASE_SECONDS, note=note)
            except StorageError as error:
                _log.warning("clean-up of the store may remove what is loaded here: %s", error)
                return
            leased = contextlib.ExitStack()
            leased.enter_context(lease)
            leased.enter_context(lease.renewing(LEASE_SECONDS))
            # Unlike `atexit`, it works in the children of `multiprocessing`, too.
            Finalize(None, leased.close, exitpriority=1)


def _pinned() -> dict[str, str]:
    """Return the versions that Dagster has pinned for the load that is under way."""
    if not DefinitionsLoadContext.is_set():
        return {}
    return _versions(DefinitionsLoadContext.get().accessed_defs_state_info)


def _versions(info: Any) -> dict[str, str]:
    mapping = info.info_mapping if info else {}
    named = {key: value.version for key, value in mapping.items() if value is not None}
    return {key: version for key, version in named.items() if not is_marker(version)}
