"""Leases on versions, and pins of whole commits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DamagedObjectError, VersionNotFoundError
from hatch_defs_state.storage.versioned import leases
from hatch_defs_state.storage.versioned.layout import manifest_path, state_path
from hatch_defs_state.storage.versioned.leases import LEASE_SECONDS
from hatch_defs_state.storage.versioned.parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.storage.versioned.commits import Commit
    from hatch_defs_state.storage.versioned.content import Content
    from hatch_defs_state.storage.versioned.leases import Lease
    from hatch_defs_state.storage.versioned.log import Log
    from hatch_defs_state.storage.versioned.objects import ObjectStore


def hold(
    store: ObjectStore,
    versions: Mapping[str, str],
    *,
    name: str | None = None,
    ttl: float | None = LEASE_SECONDS,
    note: str = "",
    serial: int | None = None,
) -> Lease:
    """Protect versions from clean-up until the returned lease ends.

    Whether their content is there is to be checked afterwards.

    Args:
        store: The store.
        versions: The version of each key.
        name: Name of the pin; by default one that nobody else has.
        ttl: Seconds until the lease ends; `None` means never.
        note: What to say about it.
        serial: The commit whose versions they are, if a user pins one.
    """
    # Whoever removes a version removes one of these two; its other files may be shared.
    own = [{state_path(key, name), manifest_path(key, name)} for key, name in versions.items()]
    return leases.hold(
        store,
        {key: (version,) for key, version in versions.items()},
        frozenset().union(*own),
        ttl=ttl,
        name=name,
        note=note,
        serial=serial,
    )


@contextlib.contextmanager
def held(store: ObjectStore, content: Content, versions: Mapping[str, str]) -> Iterator[Lease]:
    """Keep versions in the store, all of whose content has been found to be there.

    Raises:
        VersionNotFoundError: Nothing is stored for a version.
        DamagedObjectError: A part of its content is missing.
    """
    with hold(store, versions) as lease, lease.renewing(LEASE_SECONDS):
        run_all(lambda item: content.require(*item), versions.items())
        yield lease


def pin(
    store: ObjectStore,
    log: Log,
    content: Content,
    serial: int | None,
    *,
    name: str | None,
    ttl: float | None,
    note: str,
) -> tuple[Commit, Lease]:
    """Protect all versions of a commit; see `VersionedStorage.pin`."""
    while True:
        commit = log.head() if serial is None else log.read(serial)
        versions = {key: value.version for key, value in commit.versions.items()}
        try:
            # A pin of that name is replaced only when all content is known to be there.
            with held(store, content, versions):
                lease = hold(
                    store,
                    versions,
                    name=name,
                    ttl=ttl,
                    note=note,
                    serial=commit.serial if name else None,
                )
        except (VersionNotFoundError, DamagedObjectError):
            # The newest commit was not the newest any more, and was cleaned up before the lease.
            if serial is not None or log.head().serial == commit.serial:
                raise
        else:
            return commit, lease
