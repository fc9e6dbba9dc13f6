"""Versioned state of a code location: the versions of one commit, protected and downloaded."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    DamagedObjectError,
    StorageError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from hatch_defs_state.location.last_pinned import PinnedCommit, record
from hatch_defs_state.location.lease_keeper import LeaseKeeper
from hatch_defs_state.storage.versioned import VersionedStorage, is_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from hatch_defs_state.location.version_cache import VersionCache

_ATTEMPTS = 3


@dataclass(frozen=True)
class VersionedState:
    """The versioned state that one load reads.

    Attributes:
        commit: The commit, with the versions of those keys that have one.
        folders: For each of these keys the folder that holds its `state`.
    """

    commit: PinnedCommit
    folders: Mapping[str, Path]


def read_head(
    storage: VersionedStorage,
    keys: Iterable[str],
    cache: VersionCache,
    owner: str,
    resources: ExitStack,
) -> VersionedState:
    """Read the newest commit.

    Args:
        storage: Where it is.
        keys: The keys that are wanted.
        cache: Receives what is not in it.
        owner: Names the code location.
        resources: Receives what has to be closed when the state is not needed any more.

    Raises:
        StoreUnavailableError: The store does not answer.
        StorageError: What it holds is damaged, or may not be read.
    """
    wanted = sorted(keys)
    for attempt in range(_ATTEMPTS):
        head = storage.head()
        found = {key: head.version_of(key) for key in wanted}
        versions = {key: v for key, v in found.items() if v is not None and not is_marker(v)}
        commit = PinnedCommit(storage.url, head.lineage, head.serial, head.at, versions)
        with contextlib.ExitStack() as stack:
            stack.callback(LeaseKeeper(storage, versions, owner).close)
            try:
                folders = cache.get_all(storage, versions, lineage=head.lineage)
            except (VersionNotFoundError, DamagedObjectError):
                # Before the lease was there, others may have replaced the commit and cleaned up.
                if attempt == _ATTEMPTS - 1 or storage.head().serial == head.serial:
                    raise
                continue
            resources.push(stack.pop_all())
        with contextlib.suppress(OSError):
            record(cache.pinned, owner, commit, cache.ids(versions, lineage=head.lineage))
        return VersionedState(commit, folders)
    raise AssertionError  # the last attempt has returned, or raised


def read_pinned(
    storage: VersionedStorage,
    commit: PinnedCommit,
    at_hand: Mapping[str, Path],
    cache: VersionCache,
    owner: str,
    resources: ExitStack,
) -> VersionedState:
    """Read the versions that another process has read.

    Args:
        storage: Where they are.
        commit: What the other process has read.
        at_hand: Folders with some of these versions.
        cache: Receives what is not in it.
        owner: Names the code location.
        resources: Receives what has to be closed when the state is not needed any more.

    Raises:
        StorageError: A version is nowhere, or the store does not answer and is needed.
    """
    folders = {**cache.find_all(commit.versions, lineage=commit.lineage), **at_hand}
    missing = {key: v for key, v in commit.versions.items() if key not in folders}
    try:
        resources.callback(LeaseKeeper(storage, commit.versions, owner).close)
    except StoreUnavailableError:
        # What is at hand stays, whatever is cleaned up in the store.
        if missing:
            raise
    if missing:
        if storage.lineage() != commit.lineage:
            raise StorageError(
                f"the pinned commit {commit.serial} belongs to another history than "
                f"that in {storage.url}",
                hint="use the store that the pins come from",
            )
        folders |= cache.get_all(storage, missing, lineage=commit.lineage)
    return VersionedState(commit, folders)
