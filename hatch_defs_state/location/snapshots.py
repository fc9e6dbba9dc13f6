"""State that a code location writes for itself when it loads, and keeps in memory."""

from __future__ import annotations

import asyncio
import shutil
import threading
from typing import TYPE_CHECKING

from hatch_defs_state.components import source
from hatch_defs_state.components.project_code import project_code
from hatch_defs_state.errors import StateError
from hatch_defs_state.location.memory_folder import MemoryFolder
from hatch_defs_state.refresh.extent import measure_extent
from hatch_defs_state.refresh.judge import judge
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from pathlib import Path

    from hatch_defs_state.components.declaration import LoadedComponent
    from hatch_defs_state.settings.model import Settings

_STATE = "state"


class Snapshots:
    """The snapshots of one load.

    Attributes:
        files: Files of each key, by path below the key's folder.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self._folder: MemoryFolder | None = None

    def take(self, loaded: LoadedComponent, root: Path, settings: Settings) -> Path:
        """Run the writer of a component, and return the path of its state.

        Raises:
            DefsStateError: The writer raised, or what it left is not acceptable as state.
        """
        declaration = loaded.declaration
        folder = self._new_folder(declaration.key)
        name = declaration.component_type
        with project_code(f"write_state_to_path of {name}", declaration.location, root):
            _await(source.write_state(loaded, folder / _STATE))
        state = judge(folder, declaration, settings.exclude)
        extent = measure_extent(state.files, state.paths)
        if extent.is_empty and not settings.may_be_empty(declaration.key):
            raise StateError(
                "the state is empty",
                key=declaration.key,
                location=declaration.location,
                hint=f'if it may be, set `allow-empty = ["{declaration.key}"]`',
            )
        contents = {path: file.read_bytes() for path, file in state.paths.items()}
        # What is read is what others are handed: the state, and nothing else that was left there.
        shutil.rmtree(folder)
        return self.restore(declaration.key, contents)

    def restore(self, key: str, files: Mapping[str, bytes]) -> Path:
        """Return the path of state that another process has written.

        Raises:
            StateError: There is no room for it.
        """
        folder = self._new_folder(key)
        with self._memory().errors():
            for path, data in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        self.files[key] = dict(files)
        return folder / _STATE

    def built(self) -> None:
        """Remove what is on a disk, now that definitions are built."""
        if self._folder is not None and self._folder.is_on_disk:
            self.close()

    def close(self) -> None:
        """Remove the files; the contents stay in memory."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _new_folder(self, key: str) -> Path:
        memory = self._memory()
        folder = memory.path / folder_name(key)
        with memory.errors():
            folder.mkdir(mode=0o700)
        return folder

    def _memory(self) -> MemoryFolder:
        if self._folder is None:
            self._folder = MemoryFolder()
        return self._folder


def _await(rest: Awaitable[None] | None) -> None:
    """Wait for a writer that is a coroutine function, also where an event loop is running."""
    if rest is None:
        return

    async def wait() -> None:
        await rest

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(wait())
        return
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(wait())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="defs-state-writer")
    thread.start()
    thread.join()
    for error in errors:
        raise error
