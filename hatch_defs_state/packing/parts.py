"""What one project puts into a PEX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.pex import manifest_in

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.artifacts.verify import VerifiedState


@dataclass(frozen=True)
class Part:
    """One project, ready to be packed.

    Attributes:
        state: Its state, as it was verified.
        requirements: What pex resolves for it: its wheel, or its dependencies.
        sources: The folder that has its packages with the state, when they are packed as sources.
        wheel: Name of its wheel, when that is packed.
    """

    state: VerifiedState
    requirements: tuple[str, ...]
    sources: Path | None = None
    wheel: str | None = None

    @property
    def name(self) -> str:
        """The project's name."""
        return self.state.manifest.project

    @property
    def variable(self) -> str:
        """The variable that the PEX sets to the path of the project's manifest."""
        return f"DEFS_STATE_MANIFEST_{re.sub(r'[^A-Za-z0-9]+', '_', self.name).upper()}"

    @property
    def manifest(self) -> str:
        """Path of the manifest, from the folder that packages are imported from."""
        return manifest_in(self.state.folder)
