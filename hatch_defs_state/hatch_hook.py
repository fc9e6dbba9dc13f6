"""Hatchling's build hook, as hatchling loads it: a rebuild with nothing changed is over in here.

What it does is in `hatch_build`, which imports the engine: in such a build, that would take longer
than everything else.
"""

from __future__ import annotations

import atexit
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.plugin import hookimpl

from hatch_defs_state.assembly import repeat
from hatch_defs_state.storage.names import METADATA_PATH

if TYPE_CHECKING:
    from hatch_defs_state.hatch_build import Build


class DefsStateBuildHook(BuildHookInterface[BuilderConfig]):
    """The hook that `[tool.hatch.build.hooks.defs-state]` turns on."""

    PLUGIN_NAME = "defs-state"
    _repeat: repeat.Repeat | None = None

    def dependencies(self) -> list[str]:
        """Return what the writers need in the build environment; nothing when none will run."""
        return self._build.dependencies()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Get the state and hand it to hatchling; nothing for editable builds."""
        # The job summary of GitHub Actions is made from events, which a repetition has none of.
        annotated = os.environ.get("GITHUB_ACTIONS") == "true"
        if self.target_name == "wheel" and version != "editable" and not annotated:
            name = self.metadata.config.get("project", {}).get("name", Path(self.root).name)
            self._repeat = repeat.find(str(name), Path(self.root), self._circumstances)
        if self._repeat is None:
            self._build.initialize(version, build_data)
            return
        # Hatchling does not finalize a build that fails.
        atexit.register(self._repeat.close)
        result = self._repeat.result
        reserved = (path.replace("/", os.sep) for path in result.reserved)
        self.build_config.build_reserved_paths.update(reserved)
        build_data["force_include"].update(result.included)
        build_data["extra_metadata"][result.metadata] = METADATA_PATH
        for text, is_warning in result.lines:
            (self.app.display_warning if is_warning else self.app.display_info)(text)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Reopen the built archive and check its state against the manifest."""
        if self._repeat is None:
            self._build.finalize(version, build_data, artifact_path)
            return
        try:
            if not self._repeat.is_in(Path(artifact_path)):
                from hatch_defs_state.storage.manifest import Manifest

                expected = Manifest.parse(Path(self._repeat.result.metadata).read_bytes())
                self._build.check(Path(artifact_path), expected)
        finally:
            self._repeat.close()
        verified = repeat.Verified(*self._repeat.result.verified)
        self.app.display_info(f"defs-state: {verified.message(Path(artifact_path).name)}")

    @cached_property
    def _build(self) -> Build:
        from hatch_defs_state.hatch_build import Build

        return Build(
            self.root,
            self.config,
            self.build_config,
            self.metadata,
            self.directory,
            self.target_name,
            self.app,
        )

    def _circumstances(self) -> object:
        builder: Any = self.build_config.builder
        files = [
            (file.path, file.distribution_path.replace(os.sep, "/"))
            for file in builder.recurse_included_files()
        ]
        options = [self.config, self.build_config.reproducible]
        return repeat.circumstances(Path(self.root), files, options)


@hookimpl
def hatch_register_build_hook() -> type[DefsStateBuildHook]:
    """Tell hatchling of the hook."""
    return DefsStateBuildHook
