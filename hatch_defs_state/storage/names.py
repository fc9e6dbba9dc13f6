"""The names that a generation uses on disk and in archives."""

from __future__ import annotations

FOLDER_NAME = ".local_defs_state"
MANIFEST_NAME = "manifest.json"
GITIGNORE_NAME = ".gitignore"
GITIGNORE = b"*\n*/\n.*"
"""What `get_local_defs_state_dir` in `dagster.components.utils.project_paths` writes.

Dagster writes it whenever it is absent, also while it only reads: a read-only installation must
bring it along."""

METADATA_PATH = "defs-state/manifest.json"
"""Where the copy of the manifest lies below a wheel's `extra_metadata`."""


def is_state(path: str) -> bool:
    """Whether a path with forward slashes is in a state folder, or in a remainder of one."""
    return any(
        part == FOLDER_NAME or part.startswith(f"{FOLDER_NAME}.") for part in path.split("/")
    )
