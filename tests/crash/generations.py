"""Generations that can be told apart file by file, and what a reader makes of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, SourceLocation
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.generation import Generation, beside, measure
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path

BIG = 20_000
"""More than a buffered writer keeps to itself."""

_KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "old": {"orders": ("state", "parts/1"), "shop/eu": ("state",)},
    "new": {"orders": ("state", "parts/1"), "returns": ("state",)},
    "next": {"orders": ("state",), "shop/eu": ("state",)},
}


def make(name: str, scratch: Path) -> Generation:
    """Write the state of one generation as writers would; each file begins with its name.

    Args:
        name: `old`, `new` or `next`.
        scratch: An existing folder, which receives a folder of that name.
    """
    entries, files = {}, {}
    for key, paths in _KEYS[name].items():
        folder = scratch / name / folder_name(key)
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(f"{name} {key}".encode().ljust(BIG))
            files[f"{folder_name(key)}/{path}"] = folder / path
        entries[key] = KeyEntry(
            component_type="shop.Orders",
            source=SourceLocation("defs.yaml", 1),
            management_type=ManagementType.LOCAL_FILESYSTEM,
            files={path: measure(folder / path) for path in paths},
        )
    return Generation(Manifest("shop", entries), files)


def authors(folder: Path) -> set[str]:
    """Return the first word of every state file below `folder`, by a walk of its own."""
    ours = {generations.MANIFEST_NAME, generations.GITIGNORE_NAME}
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ours)
    return {path.read_bytes().partition(b" ")[0].decode() for path in files}


def seen_in(target: Path) -> str:
    """Say what a reader finds in the folder `target`.

    Returns:
        The name of the generation that is there as a whole. `absent` and `unsealed` when there is
        nothing that could be taken for one and a whole one is kept for the next start; `nothing`
        when none is kept. `mixed` when files of several are taken for one, `torn` for all else.
    """
    kept = generations.is_whole(beside(target, "old"))
    if not target.exists():
        return "absent" if kept else "nothing"
    if not (target / generations.MANIFEST_NAME).exists():
        return "unsealed" if kept else "torn"
    try:
        generations.read(target)
    except DefsStateError:
        return "torn"
    found = authors(target)
    return found.pop() if len(found) == 1 else "mixed"


def litter(target: Path) -> list[str]:
    """Return the names of everything that lies beside the folder `target`."""
    return sorted(path.name for path in target.parent.iterdir() if path != target)
