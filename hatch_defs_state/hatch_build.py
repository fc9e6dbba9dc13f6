"""What the build hook does: puts state into wheels and source archives while they are built."""

from __future__ import annotations

import atexit
import functools
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from hatch_defs_state import project as projects
from hatch_defs_state.artifacts.layout import Layout, PackedFile
from hatch_defs_state.artifacts.sdist import PIN_NAME, find_pin, verify_sdist
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.assembly.contents import Assembly
from hatch_defs_state.assembly.note import Note
from hatch_defs_state.assembly.places import locate
from hatch_defs_state.assembly.repeat import circumstances
from hatch_defs_state.dagster.home import configured_store
from hatch_defs_state.errors import ArtifactError, DefsStateError, ProjectError
from hatch_defs_state.refresh.interpreters.choice import asked_for
from hatch_defs_state.refresh.interrupt import Interrupted, orderly
from hatch_defs_state.reporting.builds import BuildLog
from hatch_defs_state.settings import layers
from hatch_defs_state.storage.cache import cache_folder
from hatch_defs_state.storage.names import METADATA_PATH

if TYPE_CHECKING:
    from hatch_defs_state.assembly.contents import Contents
    from hatch_defs_state.assembly.repeat import Verified
    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.manifest import Manifest


class Build(BuildHookInterface[BuilderConfig]):
    """One build, as hatchling tells its hook of it."""

    def dependencies(self) -> list[str]:
        """Return what the writers need in the build environment; nothing when none will run."""
        try:
            config, settings = self._configuration()
            if not self._carries_state(settings):
                return []
            if find_pin(config.root) is not None:
                return []
            return asked_for(config, settings)
        except (DefsStateError, OSError) as error:
            self._abort(error)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Get the state and hand it to hatchling; nothing for editable builds."""
        self._expected: Manifest | None = None
        self._note: Note | None = None
        try:
            config, settings = self._configuration()
            layout = self._layout(self.build_config.builder)
            self._keep_out_old_state(layout)
            if self._carries_state(settings) and version != "editable":
                with orderly(), self._log.told_to_github():
                    self._fill(config, settings, layout, build_data)
        except (DefsStateError, OSError) as error:
            self._abort(error)
        except Interrupted as interrupt:
            self.app.abort("defs-state: interrupted: nothing was built", interrupt.exit_status)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Reopen the built archive and check its state against the manifest."""
        if self._expected is None:
            return
        try:
            verified = self.check(Path(artifact_path), self._expected)
            if self._note is not None:
                self._note.leave(verified, Path(artifact_path))
        finally:
            self._assembly.close()

    def check(self, path: Path, expected: Manifest) -> Verified:
        """Check the state in a built archive against the manifest, and say that it is there.

        An archive that does not carry what it has to is removed, and the build ends.
        """
        try:
            verify = verify_wheel if self.target_name == "wheel" else verify_sdist
            found = verify(path).manifest
            if found != expected:
                raise ArtifactError(f"{path} carries other state than was put into it")
        except DefsStateError as error:
            path.unlink(missing_ok=True)
            self._abort(error)
        return self._log.verified(found, path.name)

    def _carries_state(self, settings: Settings) -> bool:
        return self.target_name == "wheel" or (
            self.target_name == "sdist" and settings.refresh_in_sdist
        )

    def _configuration(self) -> tuple[ProjectConfig, Settings]:
        core = self.metadata.core
        config = projects.read_config(Path(self.root))
        config = config.resolved(core.dependencies, core.optional_dependencies)
        return config, layers.gather(
            lambda: projects.file_settings(config, self.config),
            lambda: layers.parse_environment(os.environ),
        )

    def _layout(self, builder: Any) -> Layout:
        return Layout(
            tuple(
                PackedFile(Path(file.path), file.distribution_path.replace(os.sep, "/"))
                for file in builder.recurse_included_files()
            )
        )

    def _layout_of_wheel(self, layout: Layout) -> Layout:
        """Return the files of the wheel, which tell where packages are, whatever is being built."""
        if self.target_name == "wheel":
            return layout
        from hatchling.builders.wheel import WheelBuilder

        own: Any = self.build_config.builder
        builder = WheelBuilder(
            self.root,
            plugin_manager=own.plugin_manager,
            config=own.raw_config,
            metadata=self.metadata,
            app=self.app,
        )
        try:
            return self._layout(builder)
        except ValueError as error:
            raise ProjectError(
                f"which files a wheel of this project has cannot be told: {error}",
                hint="set `refresh-in-sdist = false` if wheels are never built from it",
            ) from error

    def _keep_out_old_state(self, layout: Layout) -> None:
        """Keep the state that lies in the tree, and our cache, out of the artifact.

        Hatchling lets a hook add files and not exclude any; reserved paths are those which some
        other file takes. A pin says what would be kept out.
        """
        self.build_config.build_reserved_paths.update(
            target.replace("/", os.sep) for target in layout.unwanted(cache_folder())
        )
        if self.target_name == "sdist":
            self.build_config.build_reserved_paths.add(PIN_NAME)

    def _keep_out_new_files(self, before: Layout) -> None:
        """Keep out of the artifact what writers have put into the packages that it takes in."""
        known = {file.target for file in before.files}
        now = self._layout(self.build_config.builder)
        self._keep_out_old_state(now)
        unwanted = set(now.unwanted(cache_folder()))
        for file in now.files:
            if file.target not in known | unwanted:
                self.build_config.build_reserved_paths.add(file.target.replace("/", os.sep))
                self._log.warning(
                    f"{file.target} was written while the writers ran "
                    f"and is kept out of the {self.target_name}"
                )

    def _fill(
        self, config: ProjectConfig, settings: Settings, layout: Layout, build_data: dict[str, Any]
    ) -> None:
        began = time.time()
        self._assembly = Assembly(
            config,
            settings,
            self._log,
            partial(configured_store, settings, config.root),
            reproducible=self.build_config.reproducible,
        )
        # Hatchling does not finalize a build that fails.
        atexit.register(self._assembly.close)
        packages = self._layout_of_wheel(layout)
        project = locate(config, settings, packages, self._assembly.scratch)
        fill = self._assembly.wheel if self.target_name == "wheel" else self._assembly.sdist
        content = fill(project, layout)
        self._keep_out_new_files(layout)
        if not content.manifest.carried:
            self._log.info(f"{project.defs_module} has no component with state to bundle")
        placed = {str(f.source): self._placed(project, f.target) for f in content.files}
        build_data["force_include"].update(placed)
        if self.target_name == "wheel":
            build_data["extra_metadata"][str(content.metadata)] = METADATA_PATH
            if self._is_repeatable(settings, content):
                files = [(str(file.source), file.target) for file in layout.files]
                options = [self.config, self.build_config.reproducible]
                same = circumstances(Path(self.root), files, options)
                said = tuple(self._log.said)
                reserved = layout.unwanted(cache_folder())
                self._note = Note(
                    self._assembly, project, reserved, content, placed, said, same, began
                )
        self._expected = content.manifest

    def _is_repeatable(self, settings: Settings, content: Contents) -> bool:
        """Whether all that the build depends on is known to `assembly.repeat`."""
        dynamic = {"dependencies", "optional-dependencies"}.intersection(self.metadata.core.dynamic)
        local = not content.manifest.elsewhere and not settings.pin_versioned
        in_here = settings.python in {"auto", "build"} and not dynamic
        return settings.refresh == "reuse" and not self._log.has_run and local and in_here

    def _placed(self, project: Project, target: str) -> str:
        """Return what hatchling has to be told for a file to land at `target`.

        Hatchling rewrites the targets of hooks by the option `sources`, as if they were paths in
        the tree.
        """
        rewrite = self.build_config.get_distribution_path
        candidates = [target]
        candidates.extend(
            str(root.relative_to(project.root) / target)
            for root in project.import_roots
            if root.is_relative_to(project.root)
        )
        candidates.extend(
            source + target[len(replacement) :]
            for source, replacement in self.build_config.sources.items()
            if target.startswith(replacement)
        )
        for candidate in candidates:
            if rewrite(candidate).replace(os.sep, "/") == target:
                return candidate
        raise ArtifactError(
            f"hatchling's option `sources` moves {target} elsewhere",
            hint="let `sources` name folders that do not overlap with the package's own name",
        )

    @functools.cached_property
    def _log(self) -> BuildLog:
        return BuildLog(
            Path(self.root),
            lambda text: self.app.display_info(text),
            lambda text: self.app.display_warning(text),
        )

    def _abort(self, error: DefsStateError | OSError) -> NoReturn:
        self.app.abort(self._log.failure(error))
        raise SystemExit(1)
