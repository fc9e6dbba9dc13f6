"""What a build notes for the next one, that it may repeat it; see `repeat`."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.assembly import repeat
from hatch_defs_state.refresh import look, receipt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hatch_defs_state.assembly.contents import Assembly, Contents
    from hatch_defs_state.project import Project
    from hatch_defs_state.storage.measure import FileEntry


@dataclass(frozen=True)
class Note:
    """A wheel that has got its state without that a writer ran.

    Attributes:
        assembly: What it is put together by.
        project: The project.
        reserved: Paths in it that no file of the tree may take.
        content: What it takes in beside them.
        placed: Where the build back end was told to put that, by source.
        said: What the user was told, each line with whether it was a warning.
        circumstances: What this depends on, from `repeat.circumstances`.
        began: A moment before the kept files were checked, in seconds since the epoch.
    """

    assembly: Assembly
    project: Project
    reserved: Sequence[str]
    content: Contents
    placed: Mapping[str, str]
    said: Sequence[tuple[str, bool]]
    circumstances: object
    began: float

    def leave(self, verified: repeat.Verified, wheel: Path) -> None:
        """Leave a receipt; nothing happens where no wheel can be built like this one again.

        Args:
            verified: What the user is told at the end.
            wheel: The wheel.
        """
        workspace = self.assembly.workspace
        state = repeat.state_in(wheel, self._verified())
        if workspace is None or state is None:
            return
        generation = self._generation(workspace.folder / "generations")
        if generation is None:
            return
        made = self._keep_made(generation)
        included = {made.get(source, source): target for source, target in self.placed.items()}
        result = repeat.Result(
            included,
            metadata=made[str(self.content.metadata)],
            reserved=self.reserved,
            lines=self.said,
            state=state,
            verified=verified,
        )
        receipt.leave(
            workspace,
            self.project,
            self.assembly.settings,
            self.circumstances,
            self.began,
            result,
        )

    def _verified(self) -> dict[str, FileEntry]:
        """Return the files of state by their path in the wheel, as they were found there."""
        manifest = next(f for f in self.content.files if f.source == self.content.metadata)
        folder = manifest.target.rpartition("/")[0]
        files = self.content.manifest.files
        return {f"{folder}/{path}": entry for path, entry in files.items()}

    def _generation(self, kept: Path) -> Path | None:
        """Return the folder of the kept generation that all of the state comes from."""
        sources = (Path(source) for source in self.placed if not self._is_made(source))
        folders = {
            kept / source.relative_to(kept).parts[0] if source.is_relative_to(kept) else None
            for source in sources
        }
        return folders.pop() if len(folders) == 1 else None

    def _is_made(self, source: str) -> bool:
        return Path(source).is_relative_to(self.assembly.scratch)

    def _keep_made(self, generation: Path) -> dict[str, str]:
        """Keep the files that were made for the wheel as long as the generation; say where."""
        made = {
            source: Path(source).read_bytes() for source in self.placed if self._is_made(source)
        }
        # Named by its content, and like no folder of a key can be.
        folder = generation / f"@{look.digest(b''.join(made.values()))}"
        if not folder.exists():
            temporary = generation / f"@{uuid.uuid4().hex}"
            temporary.mkdir()
            for source, content in made.items():
                (temporary / Path(source).name).write_bytes(content)
            # Another build may have been quicker.
            with contextlib.suppress(OSError):
                temporary.rename(folder)
        return {source: str(folder / Path(source).name) for source in made}
