"""The state of one artifact: taken from the source archive it is built from, or refreshed."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.bundle import bundle, dg_file
from hatch_defs_state.artifacts.layout import PackedFile
from hatch_defs_state.artifacts.loadable import check_declared, check_loadable
from hatch_defs_state.artifacts.sdist import PIN_NAME, Pin, find_pin, read_pinned
from hatch_defs_state.assembly.pinning import for_loading, pin_versioned
from hatch_defs_state.assembly.places import state_folder_in_tree
from hatch_defs_state.project import DG_FILE
from hatch_defs_state.refresh.dates import source_date
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Notice
from hatch_defs_state.refresh.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hatch_defs_state.artifacts.layout import Layout
    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.refresh.events import Report
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.generation import Generation
    from hatch_defs_state.storage.manifest import Manifest
    from hatch_defs_state.storage.versioned import VersionedStorage


@dataclass(frozen=True)
class Contents:
    """What an artifact takes in beside the project's own files.

    Attributes:
        manifest: What is in the state.
        files: State, manifest and what belongs to them, by their path in the artifact.
        metadata: The file that a wheel carries as a copy in its metadata.
    """

    manifest: Manifest
    files: tuple[PackedFile, ...]
    metadata: Path


class Assembly:
    """One artifact that is being put together.

    The files of what it returns are there until it is closed.

    Args:
        config: The project's configuration.
        settings: Ours.
        report: Receives the events of a refresh.
        open_store: Returns the versioned storage; called only when versions are to be pinned.
        reproducible: Whether equal state has to give equal bytes: then no clock goes into the
            artifact but `SOURCE_DATE_EPOCH`.
    """

    def __init__(
        self,
        config: ProjectConfig,
        settings: Settings,
        report: Report,
        open_store: Callable[[], VersionedStorage],
        *,
        reproducible: bool = True,
    ) -> None:
        self.config = config
        self.settings = settings
        self._report = report
        self._open_store = open_store
        self._reproducible = reproducible
        self.workspace: Workspace | None = None
        self._open = ExitStack()
        temporary = tempfile.TemporaryDirectory(prefix="defs-state-")
        self.scratch = Path(self._open.enter_context(temporary))

    def close(self) -> None:
        """Remove what was made on the way."""
        self._open.close()

    def wheel(self, project: Project, layout: Layout) -> Contents:
        """Return what a wheel takes in.

        Args:
            project: The project, where it is imported from.
            layout: The other files of the wheel.

        Raises:
            DefsStateError: The state cannot be had, or the wheel could not load it.
        """
        generation = self._state(project)
        check_loadable(generation.manifest, project, layout)
        content = bundle(generation, project.defs_module.replace(".", "/"), self.scratch)
        plain = _plain(content.files, self.scratch, _is_executable)
        files = (*plain, *self._dg_files(project, layout))
        return Contents(generation.manifest, files, content.manifest)

    def sdist(self, project: Project, layout: Layout) -> Contents:
        """Return what a source archive takes in, for wheels that are built from it.

        Args:
            project: The project, where it is imported from.
            layout: The other files of the archive, by their path in the project.

        Raises:
            DefsStateError: The state cannot be had, or the archive leaves out what declares it.
        """
        folder = state_folder_in_tree(project)
        generation = self._state(project)
        check_declared(generation.manifest, project, layout, "source archive")
        content = bundle(generation, os.path.dirname(folder), self.scratch)  # noqa: PTH120
        pin = self.scratch / PIN_NAME
        pin.write_bytes(Pin.of(folder, generation.manifest.to_bytes()).to_bytes())
        plain = _plain(content.files, self.scratch, lambda s: _is_executable(s) or s.st_nlink > 1)
        files = (*plain, PackedFile(pin, PIN_NAME))
        return Contents(generation.manifest, files, content.manifest)

    def _state(self, project: Project) -> Generation:
        pin = find_pin(self.config.root)
        if pin is not None:
            self._report(Notice(f"{PIN_NAME} says which state to use: no writer runs"))
            return read_pinned(self.config.root, pin)
        self.workspace = self._open.enter_context(Workspace.of(self.config))
        generation = refresh(project, self.settings, self.workspace, self._report, building=True)
        manifest = for_loading(generation.manifest, self.settings)
        if self._reproducible:
            manifest = manifest.dated(source_date())
        generation = replace(generation, manifest=manifest)
        if not self.settings.pin_versioned:
            return generation
        return pin_versioned(generation, self.settings, self.scratch, self._open_store)

    def _dg_files(self, project: Project, layout: Layout) -> tuple[PackedFile, ...]:
        text = dg_file(project)
        target = f"{project.root_module.replace('.', '/')}/{DG_FILE}"
        if text is None or any(file.target == target for file in layout.files):
            return ()
        source = self.scratch / DG_FILE
        source.write_text(text, encoding="utf-8")
        return (PackedFile(source, target),)


def _is_executable(status: os.stat_result) -> bool:
    return bool(status.st_mode & 0o111)


def _plain(
    files: Sequence[PackedFile], scratch: Path, differs: Callable[[os.stat_result], bool]
) -> Iterator[PackedFile]:
    """Copy what would be packed in another way than equal files of other machines.

    Archives keep who may run a file, and tar files the second name of one as a link; the manifest
    knows neither.
    """
    for number, file in enumerate(files):
        source = file.source
        if differs(source.stat()):
            source = scratch / f"{number}-{source.name}"
            shutil.copyfile(file.source, source)
        yield PackedFile(source, file.target)
