"""Protecting versions from clean-up for as long as a code location reads them."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
import uuid
import warnings
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StorageError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.versioned import Lease, VersionedStorage

_log = logging.getLogger(__name__)
TTL_SECONDS = 900.0
_RENEWALS = 3
"""How often a lease is renewed in the time for which it holds."""


class LeaseKeeper:
    """A lease that is renewed in the background until it is closed, or the process ends.

    A fork of the process relies on its parent's lease, and ends it in no case; what it has read
    stays in the cache without.

    Args:
        storage: Where the versions are.
        versions: The version of each key.
        owner: Names the code location in the store.

    Raises:
        StoreUnavailableError: The store does not answer.
    """

    def __init__(self, storage: VersionedStorage, versions: Mapping[str, str], owner: str) -> None:
        self._process = os.getpid()
        self._ended = threading.Event()
        self._lease: Lease | None = None
        if versions:
            self._lease = _take(storage, versions, owner)
        if self._lease is not None:
            threading.Thread(
                target=_renew, args=(self._lease, self._ended), name="defs-state-lease", daemon=True
            ).start()

    def close(self) -> None:
        """End the lease."""
        if self._process != os.getpid():
            return
        self._ended.set()
        lease, self._lease = self._lease, None
        if lease is not None:
            with contextlib.suppress(StorageError):  # it ends by itself
                lease.release()


def _take(storage: VersionedStorage, versions: Mapping[str, str], owner: str) -> Lease | None:
    name = f"location-{owner[:40]}-{uuid.uuid4()}"
    note = f"code location {owner}, process {os.getpid()} on {platform.node()}"
    try:
        return storage.hold(versions, name=name, ttl=TTL_SECONDS, note=note)
    except StoreUnavailableError:
        raise
    except StorageError as error:
        # Whoever may only read loads all the same: clean-up spares what is recent.
        message = (
            f"the versions that {owner} reads cannot be protected from clean-up: {error.message}"
        )
        _log.warning("%s", message)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return None


def _renew(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(TTL_SECONDS / _RENEWALS):
        try:
            lease.renew(TTL_SECONDS)
        except StorageError as error:
            _log.warning("the lease %s could not be renewed: %s", lease.pin.name, error.message)
