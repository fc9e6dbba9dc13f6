"""What is in use: everything that a kept commit, a live pin or somebody else's pointer names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    CommitNotFoundError,
    DamagedObjectError,
    DefsStateError,
    ObjectNotFoundError,
    StoreAccessError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from hatch_defs_state.storage.versioned.layout import is_marker, manifest_path, state_path
from hatch_defs_state.storage.versioned.leases import CLOCK_SKEW, Pin, read_pins
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.versions import VersionManifest, is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hatch_defs_state.storage.versioned.commits import LogEntry
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.storage import VersionedStorage

KeyAndVersion = tuple[str, str]


@dataclass(frozen=True)
class InUse:
    """What must stay.

    Attributes:
        paths: Paths of the objects; they need not exist.
        pins: The pins that count.
        commits: Number of commits in the history that is kept.
        unclear: Versions that are in use although what they consist of cannot be read; any shared
            file may belong to them.
    """

    paths: frozenset[str]
    pins: tuple[Pin, ...]
    commits: int
    unclear: tuple[DefsStateError, ...]


class Reach:
    """Finds out what is in use, as often as it is asked.

    Args:
        storage: The store.
        also: Versions that others rely on, for every key.
    """

    def __init__(self, storage: VersionedStorage, also: Mapping[str, Iterable[str]]) -> None:
        self._storage = storage
        self._also = {(key, version) for key, versions in also.items() for version in versions}
        self._committed: set[KeyAndVersion] = set()
        self._serials: set[int] = set()
        self._resolved: dict[KeyAndVersion, frozenset[str]] = {}

    def read(self, now: float, floor: int) -> InUse:
        """Read pins and log.

        Args:
            now: The time, in seconds since the epoch.
            floor: The oldest commit that counts.

        Raises:
            DefsStateError: What is in use cannot be known for sure.
        """
        # Pins first: who ends a lease has made a commit before, if it was about one.
        pins = tuple(pin for pin in read_pins(self._storage.store) if pin.is_live(now - CLOCK_SKEW))
        self._read_log(floor)
        named = {item for pin in pins if pin.objects is None for item in _versions(pin)}
        unclear = self._resolve(self._committed | named)
        # A version that only Dagster's class has written has no manifest.
        of_others = self._resolve(self._also - self._committed - named)
        unclear += tuple(e for e in of_others if not isinstance(e, VersionNotFoundError))
        every = self._committed | self._also | {item for pin in pins for item in _versions(pin)}
        paths = {path for item in every for path in (state_path(*item), manifest_path(*item))}
        paths.update(path for pin in pins for path in pin.objects or ())
        paths.update(path for found in self._resolved.values() for path in found)
        return InUse(frozenset(paths), pins, len(self._serials), unclear)

    def _read_log(self, floor: int) -> None:
        """Take in the versions of all commits from `floor` on that are not known yet."""
        log = self._storage.log_store
        new: list[LogEntry] = []
        for entry in log.entries():
            if entry.serial in self._serials or entry.serial < floor:
                break
            new.append(entry)
        if new and not self._serials:
            try:
                first = log.read(new[-1].serial).versions
            except CommitNotFoundError:  # another clean-up keeps less, and was here just now
                self._read_log(log.floor())
                return
            self._committed.update((key, value.version) for key, value in first.items())
        for entry in new:
            self._serials.add(entry.serial)
            changed = ((key, version) for key, version in entry.changes.items())
            self._committed.update((key, version) for key, version in changed if version)

    def _resolve(self, named: Iterable[KeyAndVersion]) -> tuple[DefsStateError, ...]:
        """Learn what versions consist of, and return why that is not known of some."""
        todo = sorted(
            item
            for item in named
            if item not in self._resolved and not is_plain(item[1]) and not is_marker(item[1])
        )
        return tuple(error for error in run_all(self._learn, todo) if error)

    def _learn(self, item: KeyAndVersion) -> DefsStateError | None:
        try:
            self._resolved[item] = self._storage.objects_of(*item)
        except (StoreUnavailableError, StoreAccessError):
            raise
        except DefsStateError as error:
            return error
        return None


def _versions(pin: Pin) -> Iterable[KeyAndVersion]:
    return ((key, version) for key, versions in pin.versions.items() for version in versions)


def objects_in(store: ObjectStore, manifests: Iterable[str]) -> frozenset[str]:
    """Return the paths of all objects that versions need, given the paths of their manifests.

    A manifest that is gone, or damaged, needs nothing: it can never become current.
    """

    def read(path: str) -> frozenset[str]:
        try:
            data = store.get(path)
            values = json.loads(data)
            return VersionManifest.parse(data, values["key"], values["version"]).objects()
        except (ObjectNotFoundError, DamagedObjectError, ValueError, KeyError, TypeError):
            return frozenset()

    return frozenset().union(*run_all(read, manifests))
