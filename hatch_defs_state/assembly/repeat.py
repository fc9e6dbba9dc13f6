"""A wheel whose state is that of the wheel before: put together from the receipt of that one.

Nothing of the engine is imported for it. Whether the built wheel carries the state is checked as
always, by the names, sizes and digests of its files; who finds it otherwise asks for the reasons.
"""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

from hatch_defs_state.artifacts.zips import ZipArchive
from hatch_defs_state.refresh import look, receipt
from hatch_defs_state.refresh.keeping import Holds, place_in_cache
from hatch_defs_state.storage.cache import existing_folders
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.names import METADATA_PATH, is_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_FILES = ("pyproject.toml", "hatch.toml", "dg.toml", "defs-state-pin.json", "pylock.toml")
_LOCKED = ("uv.lock", "pyproject.toml")
_VARIABLES = ("DEFS_STATE_", "SOURCE_DATE_EPOCH")
_BUILD_ID = "DEFS_STATE_BUILD_ID"


class Verified(NamedTuple):
    """What the user is told of state that was found in an archive as it should be."""

    states: str
    digest: str

    def message(self, archive: str) -> str:
        """Return it as a line, with the name of the archive."""
        return f"{self.states} verified in {archive}, digest {self.digest}"


class Result(NamedTuple):
    """What a build made of state that was reused; made of what JSON can say.

    Attributes:
        included: Where the build back end was told to put which file.
        metadata: The file of these that goes into the metadata as well.
        reserved: Paths in the wheel that no file of the tree may take.
        lines: What it told the user, each with whether that was a warning.
        state: Size and sha256 of all files of state in the wheel, and of the manifest's copy.
        verified: What it told the user at the end.
    """

    included: Mapping[str, str]
    metadata: str
    reserved: Sequence[str]
    lines: Sequence[tuple[str, bool]]
    state: Mapping[str, Sequence[Any]]
    verified: Sequence[str]


class Repeat:
    """A wheel that is built like the one before; its files are there until it is closed."""

    def __init__(self, folder: Path, result: Result, holds: Holds) -> None:
        self.result = result
        self._folder = folder
        self._holds = holds

    def is_in(self, wheel: Path) -> bool:
        """Whether a wheel carries just this state; if not, there will be no repetition again."""
        expected = {name: FileEntry(*entry) for name, entry in self.result.state.items()}
        found = state_in(wheel, {})
        if found != expected:
            receipt.discard(self._folder)
        return found == expected

    def close(self) -> None:
        """Let go of the files."""
        self._holds.release()


def find(name: str, root: Path, circumstances: Callable[[], object]) -> Repeat | None:
    """Return what a project's last build did, if it ran no writer and nothing has changed since.

    Args:
        name: The project's name.
        root: The project's folder.
        circumstances: Returns what `circumstances` below returned for that build.
    """
    for folder in existing_folders(*place_in_cache(name, root)):
        if receipt.exists(folder):
            holds = Holds()
            result = receipt.find(folder, circumstances(), holds)
            if result is not None:
                return Repeat(folder, Result(*result), holds)
            holds.release()
    return None


def circumstances(root: Path, files: Sequence[tuple[str, str]], options: object) -> object:
    """Return what the result of a build depends on besides its components and their state.

    Args:
        root: The project's folder.
        files: Source and target of the wheel's other files.
        options: What else the adapter knows of; made of what JSON can say.
    """
    places = [root / name for name in _FILES]
    # The lock may be that of a workspace that the project is a member of.
    for folder in (root, *root.parents):
        if (folder / _LOCKED[0]).exists():
            places.extend(folder / name for name in _LOCKED)
    configuration = {
        str(place): look.digest(place.read_bytes()) for place in places if place.exists()
    }
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_VARIABLES) and name != _BUILD_ID
    }
    return [str(root), configuration, variables, files, options]


def state_in(wheel: Path, known: Mapping[str, FileEntry]) -> dict[str, FileEntry] | None:
    """Measure the files of state in a wheel, and the copy of the manifest; `None` if it is none.

    Args:
        wheel: The wheel.
        known: Files in it that were measured already.
    """
    try:
        with zipfile.ZipFile(wheel) as file:
            archive = ZipArchive(wheel, file)
            names = [
                name
                for name in archive.names
                if is_state(name) or name.endswith(f"/extra_metadata/{METADATA_PATH}")
            ]
            if len(names) != len(set(names)):
                return None
            found = archive.measure([name for name in names if name not in known])
            return {name: known[name] if name in known else found[name] for name in names}
    except Exception:
        # Whatever is wrong with it: the full check names it.
        return None
