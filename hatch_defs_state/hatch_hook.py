"""Hatchling's build hook: runs the writers while a wheel is built and puts their state into it."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.plugin import hookimpl

from hatch_defs_state import project as projects
from hatch_defs_state.artifacts.bundle import METADATA_PATH, bundle, dg_file
from hatch_defs_state.artifacts.layout import Layout, PackedFile, is_state
from hatch_defs_state.artifacts.loadable import check_loadable
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.errors import (
    ArtifactError,
    DefsStateError,
    ProjectError,
    flatten,
    from_os_error,
)
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.interrupt import Interrupted, orderly
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.reporting.wording import counted, describe
from hatch_defs_state.settings import layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.refresh.events import Event
    from hatch_defs_state.reporting.base import Reporter
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.manifest import Manifest


class DefsStateBuildHook(BuildHookInterface[BuilderConfig]):
    """The hook that `[tool.hatch.build.hooks.defs-state]` turns on."""

    PLUGIN_NAME = "defs-state"
    _github: Reporter | None = None

    def dependencies(self) -> list[str]:
        """Return what the writers need in the build environment; nothing when none will run."""
        if self.target_name != "wheel":
            return []
        from hatch_defs_state.requirements import writer_requirements

        try:
            config, settings = self._configuration()
            if settings.refresh == "frozen":
                return []
            core = self.metadata.core
            return writer_requirements(
                config.pyproject, core.dependencies, core.optional_dependencies, settings
            )
        except (DefsStateError, OSError) as error:
            self._abort(error)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run the writers and hand their state to hatchling; nothing for editable builds."""
        self._expected: Manifest | None = None
        self._open = ExitStack()
        # Hatchling does not finalize a build that fails.
        atexit.register(self._open.close)
        try:
            config, settings = self._configuration()
            layout = self._layout()
            self._keep_out_old_state(layout)
            if self.target_name == "wheel" and version != "editable":
                with orderly(), self._told_to_github():
                    self._fill(config, settings, layout, build_data)
        except (DefsStateError, OSError) as error:
            self._open.close()
            self._abort(error)
        except Interrupted as interrupt:
            self._open.close()
            self.app.abort("defs-state: interrupted: nothing was built", interrupt.exit_status)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Reopen the built wheel and check its state against the manifest."""
        if self._expected is None:
            return
        try:
            found = verify_wheel(Path(artifact_path)).manifest
            if found != self._expected:
                raise ArtifactError(f"{artifact_path} carries other state than was put into it")
        except DefsStateError as error:
            Path(artifact_path).unlink(missing_ok=True)
            self._abort(error)
        finally:
            self._open.close()
        self.app.display_info(
            f"defs-state: {counted(len(found.keys), 'state')} verified in "
            f"{Path(artifact_path).name}, digest {found.digest[:12]}"
        )

    def _configuration(self) -> tuple[ProjectConfig, Settings]:
        config = projects.read_config(Path(self.root))
        return config, layers.gather(
            lambda: projects.file_settings(config, self.config),
            lambda: layers.parse_environment(os.environ),
        )

    def _layout(self) -> Layout:
        builder: Any = self.build_config.builder
        return Layout(
            tuple(
                PackedFile(Path(file.path), file.distribution_path.replace(os.sep, "/"))
                for file in builder.recurse_included_files()
            )
        )

    def _keep_out_old_state(self, layout: Layout) -> None:
        """Keep the state that lies in the tree out of the artifact.

        Hatchling lets a hook add files and not exclude any; reserved paths are those which some
        other file takes.
        """
        self.build_config.build_reserved_paths.update(
            file.target.replace("/", os.sep) for file in layout.state()
        )

    def _keep_out_new_files(self, before: Layout) -> None:
        """Keep out of the artifact what writers have put into the packages that it takes in."""
        known = {file.target for file in before.files}
        for file in self._layout().files:
            if file.target not in known and not is_state(file.target):
                self.build_config.build_reserved_paths.add(file.target.replace("/", os.sep))
                self.app.display_warning(
                    f"defs-state: {file.target} was written while the writers ran "
                    "and is kept out of the wheel"
                )

    def _fill(
        self, config: ProjectConfig, settings: Settings, layout: Layout, build_data: dict[str, Any]
    ) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="defs-state-")
        scratch = Path(self._open.enter_context(temporary))
        workspace = self._open.enter_context(Workspace.of(config))
        project = _locate(config, settings, layout, scratch)
        generation = refresh(project, settings, workspace, self._show)
        self._keep_out_new_files(layout)
        check_loadable(generation.manifest, project, layout)
        if not generation.manifest.keys:
            self.app.display_info(
                f"defs-state: {project.defs_module} has no component with state to bundle"
            )
        content = bundle(generation, project.defs_module, scratch)
        included: dict[str, str] = build_data["force_include"]
        for file in content.files:
            included[str(file.source)] = self._placed(project, file.target)
        self._add_dg_file(project, layout, scratch, included)
        build_data["extra_metadata"][str(content.manifest)] = METADATA_PATH
        self._expected = generation.manifest

    def _add_dg_file(
        self, project: Project, layout: Layout, scratch: Path, included: dict[str, str]
    ) -> None:
        text = dg_file(project)
        target = f"{project.root_module.replace('.', '/')}/{projects.DG_FILE}"
        if text is None or any(file.target == target for file in layout.files):
            return
        source = scratch / projects.DG_FILE
        source.write_text(text, encoding="utf-8")
        included[str(source)] = self._placed(project, target)

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

    @contextmanager
    def _told_to_github(self) -> Iterator[None]:
        """Annotate what goes wrong, and write the job summary, in GitHub Actions."""
        if not _in_github_actions():
            yield
            return
        from hatch_defs_state.reporting.github import GitHub

        with GitHub(sys.stderr, {}, root=Path(self.root)) as self._github:
            yield

    def _show(self, event: Event) -> None:
        if self._github is not None:
            self._github(event)
        line = describe(event)
        if line is not None:
            show = self.app.display_warning if line.warning else self.app.display_info
            show(f"defs-state: {line.text}")

    def _abort(self, error: DefsStateError | OSError) -> NoReturn:
        if isinstance(error, OSError):
            error = from_os_error(error)
        lines = [f"defs-state: error: {each}" for each in flatten([error])]
        if _in_github_actions() and self._github is None:
            from hatch_defs_state.reporting.github import annotate

            lines.extend(annotate(error, root=Path(self.root), environment=os.environ))
        self.app.abort("\n".join(lines))
        raise SystemExit(1)


def _in_github_actions() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _locate(config: ProjectConfig, settings: Settings, layout: Layout, scratch: Path) -> Project:
    """Find the defs folder among the files that the wheel takes in.

    Raises:
        ProjectError: It is not there, or the wheel leaves it out.
    """
    elsewhere: Project | None = None
    try:
        project = projects.locate(config, settings, layout.import_roots(scratch))
        folder = project.defs_module.replace(".", "/")
        if packed := layout.below(folder):
            first = next((f for f in packed if f.target.count("/") == folder.count("/") + 1), None)
            return replace(project, tree_folder=first.source.parent if first else None)
        elsewhere = project
    except ProjectError:
        elsewhere = projects.locate(config, settings)
    raise ProjectError(
        f"the defs folder {elsewhere.defs_folder.relative_to(config.root).as_posix()} "
        "is not part of the wheel",
        hint="let [tool.hatch.build.targets.wheel] (`packages`, `only-include`, `include`, "
        "`exclude`) take in the package that it belongs to",
    )


@hookimpl
def hatch_register_build_hook() -> type[DefsStateBuildHook]:
    """Tell hatchling of the hook."""
    return DefsStateBuildHook
