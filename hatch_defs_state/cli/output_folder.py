"""The folder of `--output`: state for a tool that puts it into place itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StateError
from hatch_defs_state.storage.generation import GITIGNORE_NAME, MANIFEST_NAME
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import Manifest
from hatch_defs_state.storage.publish import recover

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.project import Project


@dataclass(frozen=True)
class OutputFolder:
    """A folder that a generation is to be published to.

    Attributes:
        path: Absolute, links resolved.
    """

    path: Path

    @classmethod
    def of(cls, folder: Path, project: Project) -> OutputFolder:
        """Take the folder that the user named, relative to the current one.

        Raises:
            StateError: It lies in the project's state folder, or holds it.
        """
        path = folder.resolve()
        state = project.state_folder.resolve()
        if path != state and (path.is_relative_to(state) or state.is_relative_to(path)):
            raise StateError(
                f"{path} cannot be the output: it {_relation(path, state)} the project's state",
                hint="name a folder beside it, such as --output state",
            )
        return cls(path)

    def prepare(self) -> None:
        """Make the folder's parents, and end what a crash interrupted there.

        Raises:
            StateError: The folder is something that must not, or cannot, be replaced.
            OSError: The disk refuses.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        recover(self.path)
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise StateError(
                f"{self.path} cannot be the output: it is not a folder",
                hint="name a folder, or one that does not exist yet",
            )
        if os.path.ismount(self.path):
            raise StateError(
                f"{self.path} cannot be the output: a mounted folder cannot be exchanged",
                hint=f"name a folder in it, such as --output {self.path / 'state'}",
            )
        foreign = self._foreign()
        if foreign is not None:
            raise StateError(
                f"{self.path} cannot be the output: it would be replaced as a whole, "
                f"and {foreign} in it is not state",
                hint="name an empty folder, or one that does not exist yet",
            )

    def _foreign(self) -> str | None:
        """Return the first name in the folder that no generation put there."""
        present = {path.name for path in self.path.iterdir()}
        try:
            manifest = Manifest.parse((self.path / MANIFEST_NAME).read_bytes())
        except (OSError, DefsStateError):
            return min(present, default=None)
        own = {MANIFEST_NAME, GITIGNORE_NAME, *map(folder_name, manifest.keys)}
        return min(present - own, default=None)


def _relation(path: Path, state: Path) -> str:
    return "lies in" if path.is_relative_to(state) else "holds"
