"""Where everything lies below the base of a versioned store.

`<base>/<key folder>/<version>` holds the bytes of a key's `state` file, as Dagster's
`UPathDefsStateStorage` reads and writes it. All the rest is below `RESERVED`: its `@` is no
character of a key's folder name, so no key can ever claim it.
"""

from __future__ import annotations

import re

from hatch_defs_state.errors import KeyConflictError, StorageError
from hatch_defs_state.storage.keys import check_key, folder_name

RESERVED = "@defs-state"
FORMAT = f"{RESERVED}/format.json"
HEAD_HINT = f"{RESERVED}/head.json"
FLOOR = f"{RESERVED}/floor.json"
LOG = f"{RESERVED}/log"
MANIFESTS = f"{RESERVED}/manifests"
FILES = f"{RESERVED}/files"
PINS = f"{RESERVED}/pins"
CONDEMNED = f"{RESERVED}/condemned"
MARKS = f"{RESERVED}/marks.json"
"""When objects were first found to be unneeded."""

PROBES = f"{RESERVED}/probes"
TEMPORARY = f"{RESERVED}/unfinished"
"""Unfinished files of a store on a local disk."""

_VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_MARKER = re.compile(r"__\w+__")
_LOG_ENTRY = re.compile(re.escape(LOG) + r"/(\d{12})\.json")


def state_path(key: str, version: str) -> str:
    """Return where the bytes of a key's `state` file lie."""
    return f"{folder_name(key)}/{version}"


def manifest_path(key: str, version: str) -> str:
    """Return where the manifest of a version lies."""
    return f"{MANIFESTS}/{folder_name(key)}/{version}.json"


def file_path(sha256: str) -> str:
    """Return where the file with this content lies."""
    return f"{FILES}/{sha256[:2]}/{sha256}"


def log_path(serial: int) -> str:
    """Return where the commit with this number lies."""
    return f"{LOG}/{serial:012d}.json"


def serial_of(path: str) -> int | None:
    """Return the number of the commit that lies at `path`, if a commit does."""
    match = _LOG_ENTRY.fullmatch(path)
    return int(match[1]) if match else None


def is_marker(version: str) -> bool:
    """Whether `version` says where a state is kept instead of naming one (`__local__`)."""
    return _MARKER.fullmatch(version) is not None


def require_key(key: str) -> None:
    """Check that `key` can name a folder in the store.

    Raises:
        KeyConflictError: It cannot.
    """
    problem: KeyConflictError | None = check_key(key)
    if problem is not None:
        raise problem


def require_version(key: str, version: str) -> None:
    """Check that a version identifier which a caller handed in can be the name of an object.

    Raises:
        StorageError: It cannot.
    """
    if not _VERSION.fullmatch(version):
        raise StorageError(
            f"{version[:60]!r} cannot be the identifier of a version",
            key=key,
            hint="use up to 128 letters, digits, `.`, `_` and `-`, and no `.` at the start",
        )
