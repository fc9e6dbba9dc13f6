"""The last good generation: what new state is compared with, and what can stand in for it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.refresh.dates import TIME_FORMAT
from hatch_defs_state.refresh.extent import Extent, measure_extent
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.generation import FilesBelow
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.record import KeyRecord, Record
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.storage.manifest import KeyEntry
    from hatch_defs_state.storage.measure import FileEntry


class Baseline(Protocol):
    """The last good state of one key, wherever it is kept."""

    @property
    def entry(self) -> KeyEntry:
        """What a manifest says of it."""

    @property
    def paths(self) -> Mapping[str, Path]:
        """Where its files lie, by path below the key's folder; none when they lie elsewhere."""

    @property
    def refreshed_at(self) -> float:
        """When it was written, in seconds since the epoch."""

    @property
    def written_at(self) -> str | None:
        """When its content was first seen, as manifests have it."""

    @property
    def record(self) -> KeyRecord | None:
        """What it depended on, if that is known."""

    def holds(self, files: Mapping[str, FileEntry]) -> bool:
        """Whether these files are its content."""

    def is_sound(self) -> bool:
        """Whether it can be used."""

    def extent(self) -> Extent | None:
        """Return how much it holds; `None` when that cannot be told."""


@dataclass(frozen=True)
class GoodState:
    """The last good state of one key.

    Attributes:
        entry: What its manifest says of it.
        paths: Where its files lie, by path below the key's folder.
        refreshed_at: When its writer ran, in seconds since the epoch.
        record: What it depended on; `None` when only its generation is known.
    """

    entry: KeyEntry
    paths: Mapping[str, Path]
    refreshed_at: float
    record: KeyRecord | None = None

    @property
    def written_at(self) -> str | None:
        """When its content was first seen."""
        return self.entry.written_at

    def holds(self, files: Mapping[str, FileEntry]) -> bool:
        """Whether these files are its content."""
        return self.entry.files == files

    def is_sound(self) -> bool:
        """Whether every file is there and as the manifest says."""
        return generations.are_sound(self.entry.files, self.paths)

    def extent(self) -> Extent | None:
        """Return how much it holds; `None` when its files are gone."""
        try:
            return measure_extent(self.entry.files, self.paths)
        except OSError:
            return None


def last_good(
    project: Project, workspace: Workspace, record: Record | None
) -> dict[str, GoodState]:
    """Return the last good state of every key: what is kept, else what lies in the tree.

    Args:
        project: The project.
        workspace: The project's.
        record: What is known of its last refresh.
    """
    if record is not None:
        kept = workspace.hold(record)
        return {
            key: GoodState(
                entry,
                FilesBelow(kept / folder_name(key), entry.files),
                record.keys[key].refreshed_at,
                record.keys[key],
            )
            for key, entry in record.manifest.keys.items()
            if key in record.keys
        }
    return in_tree(project)


def in_tree(project: Project) -> dict[str, GoodState]:
    """Return the state of every key in the tree, if that is whole."""
    try:
        tree = generations.read(project.state_folder)
    except (DefsStateError, OSError):
        return {}
    return {
        key: GoodState(
            entry,
            FilesBelow(project.state_folder / folder_name(key), entry.files),
            _seconds(entry.written_at),
        )
        for key, entry in tree.manifest.keys.items()
    }


def _seconds(written_at: str | None) -> float:
    try:
        moment = datetime.datetime.strptime(written_at or "", TIME_FORMAT)
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()
