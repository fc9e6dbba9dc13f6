"""A project whose writer says in which environment it ran."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state import project as projects
from hatch_defs_state.errors import DefsStateError, flatten
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Notice, Planned
from hatch_defs_state.refresh.interpreters.choice import needs
from hatch_defs_state.refresh.interpreters.wanted import Wanted, find_uv
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.settings.model import Settings
from hatch_defs_state.storage.publish import publish
from tests.support.commands import run_checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.storage.manifest import Manifest

COMPONENTS = """\
import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import hatch_defs_state
import yaml
from hatch_defs_state import DefsStateConfig, StateBackedComponent


@dataclass
class Where(StateBackedComponent):
    @property
    def defs_state_config(self):
        return DefsStateConfig("where")

    def write_state_to_path(self, state_path):
        found = importlib.metadata.distributions()
        again = subprocess.run(
            [sys.executable, "-c", "import hatch_defs_state; print(hatch_defs_state.__file__)"],
            capture_output=True, text=True,
        )
        where = {
            "prefix": sys.prefix,
            "version": ".".join(map(str, sys.version_info[:3])),
            "ours": os.path.realpath(hatch_defs_state.__file__),
            "ours in a process of its own": os.path.realpath(again.stdout.strip()),
            "yaml": os.path.realpath(yaml.__file__),
            "distributions": {each.name.lower(): each.version for each in found},
            "variables": {name: os.environ.get(name) for name in ("VIRTUAL_ENV", "PYTHONPATH")},
        }
        state_path.write_text(json.dumps(where))

    def build_defs_from_state(self, context, state_path):
        return json.loads(state_path.read_text())
"""

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "where"
version = "1"
requires-python = ">=3.10"
dependencies = {dependencies}

[project.optional-dependencies]
fast = ["pluggy>=1"]

[dependency-groups]
dev = ["attrs"]
state = ["typing-inspection"]
"""


@dataclass
class Whereabouts:
    """The project.

    Attributes:
        root: Its folder.
        settings: Ours.
    """

    root: Path
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def make(cls, folder: Path, *dependencies: str, **settings: Any) -> Whereabouts:
        """Make the project in `folder`, which need not exist."""
        package = folder / "src" / "where"
        (package / "defs").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "defs" / "__init__.py").touch()
        (package / "components.py").write_text(COMPONENTS, encoding="utf-8")
        (package / "defs" / "defs.yaml").write_text("type: where.components.Where\n", "utf-8")
        toml = PYPROJECT.replace("{dependencies}", json.dumps(dependencies))
        (folder / "pyproject.toml").write_text(toml, encoding="utf-8")
        return cls(folder, Settings(**settings))

    @property
    def config(self) -> projects.ProjectConfig:
        """Its configuration."""
        return projects.read_config(self.root)

    @property
    def uv(self) -> str:
        """The path of uv."""
        found = find_uv()
        assert found is not None, "these tests need uv"
        return found

    def lock(self) -> None:
        """Write `uv.lock`."""
        run_checked([self.uv, "lock", "--quiet", "--python", sys.executable], cwd=self.root)

    def wanted(self) -> Wanted:
        """Return what goes into its managed environment."""
        return Wanted.by(self.config, self.settings, needs(self.config, self.settings))

    def refresh(self, executor: Executor | None = None, **settings: Any) -> Told:
        """Refresh its state and return what the writer and the engine told."""
        chosen = replace(self.settings, **settings)
        project = projects.locate(self.config, chosen)
        events: list[Event] = []
        try:
            with Workspace.of(project.config) as workspace:
                generation = refresh(project, chosen, workspace, events.append, executor)
                publish(generation, project.state_folder)
        except DefsStateError as error:
            return Told({}, events, None, [str(each) for each in flatten([error])])
        text = (project.state_folder / "where" / "state").read_text(encoding="utf-8")
        return Told(json.loads(text), events, generation.manifest, [])


@dataclass(frozen=True)
class Told:
    """What one refresh told.

    Attributes:
        where: The state.
        events: What the engine reported.
        manifest: What it published.
        errors: Why it failed, as users read it.
    """

    where: dict[str, Any]
    events: Sequence[Event]
    manifest: Manifest | None
    errors: Sequence[str]

    @property
    def notices(self) -> list[str]:
        """What was said about the refresh as a whole."""
        return [each.text for each in self.events if isinstance(each, Notice)]

    @property
    def warnings(self) -> list[str]:
        """What somebody should look at."""
        texts = [e.text for e in self.events if isinstance(e, Notice) and e.warning]
        return [*texts, *(w for e in self.events if isinstance(e, Planned) for w in e.warnings)]

    @property
    def ran(self) -> bool:
        """Whether the writer ran."""
        return any(isinstance(event, Planned) and event.keys for event in self.events)
