"""Plugin of `pex.build_backend.wrap`: puts state into what any build back end has made.

It is for projects that build with setuptools, poetry-core, flit, uv_build or another back end that
has no hooks of its own. Pex unpacks what the back end made, hands it to its plugins, and packs it
anew with a new RECORD (`pex/build_backend/wrap.py`).
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hatch_defs_state import project as projects
from hatch_defs_state.artifacts import unpacked
from hatch_defs_state.artifacts.archives import FolderArchive
from hatch_defs_state.artifacts.layout import Layout, PackedFile
from hatch_defs_state.artifacts.sdist import PIN_NAME, check_sdist
from hatch_defs_state.artifacts.wheel import check_wheel
from hatch_defs_state.assembly.contents import Assembly
from hatch_defs_state.assembly.places import locate, state_folder_in_tree
from hatch_defs_state.dagster.home import configured_store
from hatch_defs_state.errors import (
    ArtifactError,
    CombinedError,
    DefsStateError,
    ProjectError,
    SourceLocation,
    flatten,
)
from hatch_defs_state.refresh.interpreters.choice import needs
from hatch_defs_state.refresh.interpreters.satisfied import first_missing
from hatch_defs_state.refresh.interrupt import Interrupted, orderly
from hatch_defs_state.reporting.builds import BuildLog
from hatch_defs_state.reporting.wording import counted
from hatch_defs_state.requirements import read_metadata
from hatch_defs_state.settings import layers
from hatch_defs_state.storage.names import METADATA_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hatch_defs_state.artifacts.archives import Archive
    from hatch_defs_state.artifacts.verify import VerifiedState
    from hatch_defs_state.assembly.contents import Contents
    from hatch_defs_state.project import ProjectConfig
    from hatch_defs_state.settings.model import Settings

_WRAPPER = "pex.build_backend.wrap"
_MODE = 0o644
_SHOWN = 5


def load(project_directory: str, config: Mapping[str, Any] | None = None) -> PexPlugin:  # noqa: ARG001
    """Return the plugin for a project; pex calls this.

    Args:
        project_directory: The project's root.
        config: The table of the plugin, which is read from `pyproject.toml` instead, so that
            the command line finds the same settings.

    Raises:
        SystemExit: The settings are wrong.
    """
    return PexPlugin(Path(project_directory or ".").absolute())


class PexPlugin:
    """Puts state into the wheels and source archives of one project.

    Editable wheels are left alone: what they would carry would stay in the environment when the
    tree has moved on.

    Args:
        root: The project's root.

    Raises:
        SystemExit: The settings are wrong.
    """

    def __init__(self, root: Path) -> None:
        self._log = BuildLog(root, _print, _print)
        with self._explained():
            self._config = projects.read_config(root)
            self._settings = layers.gather(
                lambda: projects.file_settings(self._config),
                lambda: layers.parse_environment(os.environ),
            )

    def modify_wheel(self, wheel_dir: str, dist_info_dir_relpath: str) -> None:
        """Put the state into an unpacked wheel.

        Args:
            wheel_dir: The folder with the files of the wheel.
            dist_info_dir_relpath: Path of its metadata in that folder.

        Raises:
            SystemExit: The state cannot be had, or the wheel could not load it.
        """
        folder, info = Path(wheel_dir), Path(wheel_dir, dist_info_dir_relpath)
        with self._explained(), self._building(info / "METADATA") as assembly:
            unpacked.remove_state(folder)
            tree = projects.locate(assembly.config, self._settings)
            layout = unpacked.layout_of(folder, tree.import_roots)
            found = self._complete(layout, tree.defs_folder, tree.defs_module.replace(".", "/"))
            project = locate(assembly.config, self._settings, found, assembly.scratch)
            content = assembly.wheel(project, found)
            copy = f"{info.name}/extra_metadata/{METADATA_PATH}"
            metadata = PackedFile(content.metadata, copy)
            unpacked.add((*_new(found, layout), *content.files, metadata), folder)
            # Pex gives it the mode that the umask left, and everything else a fixed one.
            (info / "RECORD").chmod(_MODE)
            self._check(
                check_wheel, folder, content, f"{info.name.removesuffix('.dist-info')} (wheel)"
            )

    def modify_sdist(self, sdist_dir: str) -> None:
        """Put the state into an unpacked source archive, for wheels that are built from it.

        Args:
            sdist_dir: The folder with the files of the archive.

        Raises:
            SystemExit: The state cannot be had.
        """
        folder = Path(sdist_dir)
        with self._explained(), self._building(folder / "PKG-INFO") as assembly:
            unpacked.remove_state(folder)
            (folder / PIN_NAME).unlink(missing_ok=True)
            unpacked.set_modes(folder)
            if not self._settings.refresh_in_sdist:
                return
            project = projects.locate(assembly.config, self._settings)
            layout = unpacked.layout_of(folder, [project.root])
            at = PurePosixPath(state_folder_in_tree(project)).parent
            found = self._complete(layout, project.defs_folder, str(at))
            content = assembly.sdist(project, found)
            unpacked.add((*_new(found, layout), *content.files), folder)
            self._check(check_sdist, folder, content, f"{folder.name}.tar.gz")

    def _complete(self, layout: Layout, folder: Path, target: str) -> Layout:
        """Return the layout with the declarations that the back end left out, and say so.

        Setuptools takes nothing but Python modules unless `package-data` names it.
        """
        left_out = unpacked.left_out(folder, target, layout)
        declarations = tuple(file for file in left_out if unpacked.is_declaration(file))
        if declarations:
            what = counted(len(declarations), "declaration")
            self._log.info(
                f"{what} added that the build back end leaves out: {_names(declarations)}"
            )
        others = [file for file in left_out if not unpacked.is_declaration(file)]
        if others:
            self._log.warning(
                f"the build back end leaves out {counted(len(others), 'file')} of the defs folder "
                f"({_names(others)}); components that read them need them as package data"
            )
        return Layout((*layout.files, *declarations))

    def _check(
        self,
        check: Callable[[Archive], VerifiedState],
        folder: Path,
        content: Contents,
        artifact: str,
    ) -> None:
        found = check(FolderArchive(folder)).manifest
        if found != content.manifest:
            raise ArtifactError(f"{artifact} carries other state than was put into it")
        self._log.verified(found, artifact)

    @contextmanager
    def _building(self, metadata: Path) -> Iterator[Assembly]:
        config = _resolved(self._config, metadata)
        open_store = partial(configured_store, self._settings, config.root)
        assembly = Assembly(config, self._settings, self._log, open_store)
        # A front end may end this process at any moment.
        atexit.register(assembly.close)
        try:
            with orderly(), self._log.told_to_github():
                yield assembly
        except DefsStateError as error:
            raise _with_missing(error, config, self._settings) from error
        finally:
            assembly.close()
            atexit.unregister(assembly.close)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """End the build with a message, and without the artifact that has no state yet."""
        try:
            yield
        except (DefsStateError, OSError) as error:
            _remove_unfinished()
            raise SystemExit(self._log.failure(error)) from None
        except Interrupted as interrupt:
            _remove_unfinished()
            _print("defs-state: interrupted: nothing was built")
            raise SystemExit(interrupt.exit_status) from None


def _remove_unfinished() -> None:
    """Remove what the wrapped back end made: without its state it must not be taken for whole.

    It lies where the finished artifact will be, which pex tells no plugin.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__") == _WRAPPER:
            for name in ("wheel_path", "sdist_path"):
                if isinstance(path := frame.f_locals.get(name), str):
                    Path(path).unlink(missing_ok=True)


def _resolved(config: ProjectConfig, metadata: Path) -> ProjectConfig:
    """Return the configuration with the dependencies that only the back end knows."""
    project = config.pyproject.get("project", {"dynamic": ["dependencies"]})
    if {"dependencies", "optional-dependencies"}.isdisjoint(project.get("dynamic", ())):
        return config
    found = read_metadata(metadata)
    return config if found is None else config.resolved(*found)


def _with_missing(
    error: DefsStateError, config: ProjectConfig, settings: Settings
) -> DefsStateError:
    """Add to an error that the build environment lacks what the writers need, where it does.

    What pex wraps asks for its own requirements only; a plugin cannot add any.
    """
    if settings.python != "build" or settings.refresh == "frozen":
        return error
    missing = first_missing(needs(config, settings))
    if missing is None:
        return error
    lack = ProjectError(
        f"the build environment lacks {missing}, which the project depends on",
        location=SourceLocation("pyproject.toml"),
        hint="pex.build_backend.wrap installs what `requires` under [build-system] lists, and "
        "nothing else: list what the writers need there, or let the setting `python` choose "
        "another interpreter",
    )
    return CombinedError([*flatten([error]), lack])


def _new(layout: Layout, before: Layout) -> tuple[PackedFile, ...]:
    return layout.files[len(before.files) :]


def _names(files: Sequence[PackedFile]) -> str:
    """Return the paths of files, the first few when there are many."""
    names = [file.target for file in files[:_SHOWN]]
    return ", ".join([*names, *(["…"] if len(files) > _SHOWN else [])])


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of the build
