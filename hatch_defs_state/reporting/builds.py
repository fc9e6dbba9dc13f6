"""What a build back end's adapter says while it gets the state, and when that fails."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hatch_defs_state.assembly.repeat import Verified
from hatch_defs_state.errors import DefsStateError, flatten, from_os_error
from hatch_defs_state.refresh.events import Planned
from hatch_defs_state.reporting.wording import counted, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hatch_defs_state.refresh.events import Event
    from hatch_defs_state.reporting.base import Reporter
    from hatch_defs_state.storage.manifest import Manifest


class BuildLog:
    """Lines for the log of a build; annotations and a job summary, too, in GitHub Actions.

    Attributes:
        said: The lines so far, each with whether it was a warning.
        has_run: Whether a writer had to run.

    Args:
        root: The project's root.
        inform: Shows a line.
        warn: Shows a line that is not to be missed.
    """

    def __init__(
        self, root: Path, inform: Callable[[str], None], warn: Callable[[str], None]
    ) -> None:
        self._root = root
        self._inform = inform
        self._warn = warn
        self._github: Reporter | None = None
        self.said: list[tuple[str, bool]] = []
        self.has_run = False

    def info(self, text: str) -> None:
        """Show a line."""
        self.said.append((f"defs-state: {text}", False))
        self._inform(f"defs-state: {text}")

    def warning(self, text: str) -> None:
        """Show a line that is not to be missed."""
        self.said.append((f"defs-state: {text}", True))
        self._warn(f"defs-state: {text}")

    def __call__(self, event: Event) -> None:
        """Show an event of a refresh."""
        if self._github is not None:
            self._github(event)
        if isinstance(event, Planned) and event.keys:
            self.has_run = True
        line = describe(event)
        if line is not None:
            (self.warning if line.warning else self.info)(line.text)

    @contextmanager
    def told_to_github(self) -> Iterator[None]:
        """Annotate what goes wrong in the block, and write the job summary, in GitHub Actions."""
        if not _in_github_actions():
            yield
            return
        from hatch_defs_state.reporting.github import GitHub

        with GitHub(sys.stderr, {}, root=self._root) as self._github:
            yield

    def verified(self, manifest: Manifest, artifact: str) -> Verified:
        """Say which state an artifact carries."""
        verified = Verified(counted(manifest.carried, "state"), manifest.digest[:12])
        self.info(verified.message(artifact))
        return verified

    def failure(self, error: DefsStateError | OSError) -> str:
        """Return what ends the build, for people; annotated when that has not been done yet."""
        if isinstance(error, OSError):
            error = from_os_error(error)
        lines = [f"defs-state: error: {each}" for each in flatten([error])]
        if _in_github_actions() and self._github is None:
            from hatch_defs_state.reporting.github import annotate

            lines.extend(annotate(error, root=self._root, environment=os.environ))
        return "\n".join(lines)


def _in_github_actions() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
