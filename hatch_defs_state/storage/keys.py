"""State keys and the folders that hold their state."""

from __future__ import annotations

import re

from hatch_defs_state.errors import KeyConflictError, SourceLocation

_MAX_NAME_BYTES = 255
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

RESERVED_NAMES = frozenset({".gitignore", "manifest.json"})
"""Names that a generation uses for itself, beside the folders of keys."""


def folder_name(key: str) -> str:
    """Return the name of the folder that holds the state of `key`.

    The rule is Dagster's (`get_local_state_dir` in `dagster.components.utils.project_paths`): every
    character other than letters, digits, `.`, `_` and `-` becomes two underscores.
    """
    return _UNSAFE.sub("__", key)


def comparable(name: str) -> str:
    """Return `name` as a case-insensitive file system compares it."""
    return name.casefold()


def check_key(key: str, location: SourceLocation | None = None) -> KeyConflictError | None:
    """Return why `key` cannot name a folder, or `None` when it can."""
    name = folder_name(key)
    if not key:
        problem = "the state key is empty"
    elif name in {".", ".."}:
        problem = f'the state key "{key}" would be the folder {name}, outside of its own state'
    elif len(name) > _MAX_NAME_BYTES:
        problem = (
            f"the state key is too long: its folder name has {len(name)} characters, "
            f"file systems take {_MAX_NAME_BYTES}"
        )
    elif any(ord(character) < ord(" ") for character in key):
        problem = f"the state key {key!r} has control characters"
    elif comparable(name) in RESERVED_NAMES:
        problem = f'the state key "{key}" is a name that the state folder uses for itself'
    else:
        return None
    return KeyConflictError(
        problem,
        key=key[:60],
        location=location,
        hint="give the component another key (`defs_state: {key: ...}` or its own attribute)",
    )
