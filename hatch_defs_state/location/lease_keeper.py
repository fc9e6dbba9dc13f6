"""Protecting versions from clean-up for as long as a code location reads them."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import uuid
import warnings
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StorageError, StoreUnavailableError
from hatch_defs_state.storage.versioned.leases import LEASE_SECONDS
from hatch_defs_state.storage.versioned.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.versioned import Lease, VersionedStorage

_log = logging.getLogger(__name__)


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
        self._leased = contextlib.ExitStack()
        lease = _take(storage, versions, owner) if versions else None
        if lease is not None:
            self._leased.enter_context(lease)
            self._leased.enter_context(lease.renewing(LEASE_SECONDS))

    def close(self) -> None:
        """End the lease."""
        if self._process == os.getpid():
            self._leased.close()


def is_absent(storage: VersionedStorage) -> bool:
    """Whether it is a local store whose folder is not there; a lease would make an empty one."""
    return isinstance(storage.store, LocalStore) and not storage.store.root.is_dir()


def _take(storage: VersionedStorage, versions: Mapping[str, str], owner: str) -> Lease | None:
    if is_absent(storage):
        raise StoreUnavailableError(f"there is no folder {storage.url}")
    name = f"location-{owner[:40]}-{uuid.uuid4()}"
    note = f"code location {owner}, process {os.getpid()} on {platform.node()}"
    try:
        return storage.hold(versions, name=name, ttl=LEASE_SECONDS, note=note)
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
