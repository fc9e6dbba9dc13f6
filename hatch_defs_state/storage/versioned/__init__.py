"""Versioned storage: states as immutable versions, and numbered commits that make them current.

It works on every store that can create an object only if it is absent.
"""

from hatch_defs_state.storage.versioned.changes import Change, FileChange
from hatch_defs_state.storage.versioned.commits import Commit, KeyVersion, LogEntry
from hatch_defs_state.storage.versioned.gc import Collection, collect
from hatch_defs_state.storage.versioned.layout import is_marker
from hatch_defs_state.storage.versioned.leases import Lease, Pin, read_pins
from hatch_defs_state.storage.versioned.objects import ObjectInfo, ObjectStore, open_store
from hatch_defs_state.storage.versioned.retention import Retention, Unit
from hatch_defs_state.storage.versioned.storage import VersionedStorage
from hatch_defs_state.storage.versioned.verify import StoreReport
from hatch_defs_state.storage.versioned.versions import VersionManifest

__all__ = [
    "Change",
    "Collection",
    "Commit",
    "FileChange",
    "KeyVersion",
    "Lease",
    "LogEntry",
    "ObjectInfo",
    "ObjectStore",
    "Pin",
    "Retention",
    "StoreReport",
    "Unit",
    "VersionManifest",
    "VersionedStorage",
    "collect",
    "is_marker",
    "open_store",
    "read_pins",
]
