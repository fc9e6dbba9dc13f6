"""What a code location loads when its store cannot be reached, where that is allowed.

Only silence of the store leads here: what it says, damage and refusals included, is never replaced.
"""

from __future__ import annotations

import logging
import time
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import ManifestError, StoreUnavailableError
from hatch_defs_state.location.last_pinned import PinnedCommit, recall
from hatch_defs_state.location.lease_keeper import is_absent
from hatch_defs_state.location.versioned import VersionedState
from hatch_defs_state.refresh.reuse import readable
from hatch_defs_state.storage.generation import FOLDER_NAME
from hatch_defs_state.storage.manifest import FILE_NAME, bundled_folder
from hatch_defs_state.storage.versioned.objects import REMOTE_SCHEMES
from hatch_defs_state.storage.versioned.versions import derive, is_derived

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hatch_defs_state.location.place import Place
    from hatch_defs_state.location.version_cache import VersionCache
    from hatch_defs_state.storage.manifest import Manifest
    from hatch_defs_state.storage.versioned import VersionedStorage

_log = logging.getLogger(__name__)

_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=5)}
_CLIENT = {"read_timeout": "5s"}


def impatient(url: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the options of a store that something else stands in for, once it is silent.

    It is not waited for as long as elsewhere, unless `options` say for how long.

    Args:
        url: Where the store is.
        options: What is said about it otherwise.
    """
    given = dict(options or {})
    if url.partition("://")[0] not in REMOTE_SCHEMES:
        return given
    return given | {
        "retry_config": _RETRIES | given.get("retry_config", {}),
        "client_options": _CLIENT | given.get("client_options", {}),
    }


def require_folder(
    storage: VersionedStorage, cache: VersionCache, owner: str, manifest: Manifest | None
) -> None:
    """Take a local store for silent whose folder is not there, and was: its disk is not mounted.

    Args:
        storage: The store.
        cache: Knows what was read from it before.
        owner: Names the code location.
        manifest: The artifact's; a pinned commit says that there was a store.

    Raises:
        StoreUnavailableError: The folder is not there.
    """
    if not is_absent(storage):
        return
    was_there = manifest is not None and manifest.pinned is not None
    if was_there or recall(cache.pinned, owner, storage.url) is not None:
        raise StoreUnavailableError(f"there is no folder {storage.url}")


def last_pinned(
    url: str, keys: Iterable[str], cache: VersionCache, owner: str, reason: str
) -> VersionedState:
    """Load what this code location read last, from the cache.

    Args:
        url: The store's.
        keys: The keys that are wanted.
        cache: Where it is.
        owner: Names the code location.
        reason: Why the store cannot be used.

    Raises:
        StoreUnavailableError: Nothing was read here before, or it is not in the cache any more.
    """
    commit = require_last(url, cache, owner, reason)
    versions = {key: v for key, v in commit.versions.items() if key in set(keys)}
    folders = cache.find_all(versions, lineage=commit.lineage)
    gone = sorted(versions.keys() - folders.keys())
    if gone:
        raise incomplete(commit, gone, cache, owner, reason)
    announce_last(commit, owner, reason)
    return VersionedState(commit, folders)


def require_last(url: str, cache: VersionCache, owner: str, reason: str) -> PinnedCommit:
    """Return the commit that was read last.

    Args:
        url: The store's.
        cache: Knows it.
        owner: Who read it.
        reason: Why the store cannot be used.

    Raises:
        StoreUnavailableError: Nothing was read here before.
    """
    commit = recall(cache.pinned, owner, url)
    if commit is None:
        raise StoreUnavailableError(
            f"{reason}; and {owner} has read nothing from there before that {cache.folder} "
            "would know of"
        )
    return commit


def incomplete(
    commit: PinnedCommit, gone: Iterable[str], cache: VersionCache, owner: str, reason: str
) -> StoreUnavailableError:
    """Return the error that keys of the commit that was read last are not in the cache."""
    return StoreUnavailableError(
        f"{reason}; and of the commit {commit.serial}, which {owner} read last, "
        f"{cache.folder} does not have the intact state of: {', '.join(gone)}"
    )


def announce_last(commit: PinnedCommit, owner: str, reason: str) -> None:
    """Warn that the commit that was read last stands in for the newest one."""
    age = readable(max(0.0, time.time() - commit.at))
    _announce(f"{reason}; {owner} loads the commit {commit.serial}, which it read last, {age} old")


def from_artifact(manifest: Manifest | None, place: Place, reason: str) -> VersionedState:
    """Load the versions that the artifact carries.

    Args:
        manifest: The artifact's; its files have been checked against it.
        place: Where it is.
        reason: Why the store cannot be used.

    Raises:
        StoreUnavailableError: The artifact carries none.
    """
    carried, owner = bundled(manifest, place.state_folder), place.defs_module
    if carried is None:
        raise StoreUnavailableError(
            f"{reason}; and {owner} carries no versions that could be loaded instead",
            hint='build it with `pin-versioned = true` and `offline = "bundled"`',
        )
    serial = carried.commit.serial
    _announce(f"{reason}; {owner} loads the commit {serial}, which its artifact carries")
    return carried


def bundled(manifest: Manifest | None, state_folder: Path) -> VersionedState | None:
    """Return the versions that an artifact carries, if it does.

    Raises:
        ManifestError: They are not what their names say.
    """
    if manifest is None or manifest.pinned is None:
        return None
    versions: dict[str, str] = {}
    folders: dict[str, Path] = {}
    for key, entry in manifest.elsewhere.items():
        if entry.version is None or not entry.files:
            continue
        if is_derived(entry.version) and derive(key, entry.files) != entry.version:
            raise ManifestError(
                f"the content in {FOLDER_NAME}/{bundled_folder(key)} is not that of the version "
                f"{entry.version} that {FILE_NAME} names",
                key=key,
                hint="build the artifact anew",
            )
        versions[key] = entry.version
        folders[key] = state_folder / bundled_folder(key)
    pinned = manifest.pinned
    commit = PinnedCommit(pinned.store, pinned.lineage, pinned.serial, 0.0, versions)
    return VersionedState(commit, folders) if versions else None


def _announce(message: str) -> None:
    # Without handlers, logging would print the same line on standard error as the warning does.
    if _log.hasHandlers():
        _log.warning("%s", message)
    warnings.warn(message, RuntimeWarning, stacklevel=2)
