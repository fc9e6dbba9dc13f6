"""Leases on the versions that a process has loaded: clean-up spares them while it lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from hatch_defs_state.errors import StorageError

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned import Lease, VersionedStorage

_SECONDS = 900.0
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
        self._leases: list[Lease] = []
        self._process = os.getpid()

    def expect(self, info: Any) -> None:
        """Take note of versions that are probably read next, so that one lease does for all."""
        self._expected = _versions(info)

    def hold(self, key: str, version: str) -> None:
        """Lease a version that is about to be read, with those that will be read next."""
        with self._lock:
            if self._process != os.getpid():
                # The leases of the process that this one was forked from are not its own.
                self._process, self._held, self._leases = os.getpid(), set(), []
            if (key, version) in self._held:
                return
            wanted = {**self._expected, **_pinned(), key: version}
            new = {key: value for key, value in wanted.items() if (key, value) not in self._held}
            self._held.update(new.items())
            try:
                lease = self._storage.hold(
                    new, ttl=_SECONDS, note=f"process {os.getpid()} on {socket.gethostname()}"
                )
            except StorageError as error:
                _log.warning("clean-up of the store may remove what is loaded here: %s", error)
                return
            if not self._leases:
                self._keep_renewing()
            self._leases.append(lease)

    def _keep_renewing(self) -> None:
        over = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=(over,), name="defs-state leases", daemon=True
        )
        thread.start()

        def release() -> None:
            over.set()
            _release(self._leases)

        # Unlike `atexit`, it works in the children of `multiprocessing`, too.
        Finalize(None, release, exitpriority=1)

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(_SECONDS / 3):
            for lease in list(self._leases):
                try:
                    lease.renew(_SECONDS)
                except StorageError as error:
                    _log.warning("a lease could not be renewed: %s", error)


def _release(leases: list[Lease]) -> None:
    for lease in leases:
        try:
            lease.release()
        except StorageError as error:
            _log.warning("a lease could not be ended, it expires by itself: %s", error)


def _pinned() -> dict[str, str]:
    """Return the versions that Dagster has pinned for the load that is under way."""
    if not DefinitionsLoadContext.is_set():
        return {}
    return _versions(DefinitionsLoadContext.get().accessed_defs_state_info)


def _versions(info: Any) -> dict[str, str]:
    mapping = info.info_mapping if info else {}
    return {key: value.version for key, value in mapping.items() if value is not None}
