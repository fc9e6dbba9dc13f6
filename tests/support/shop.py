"""A project whose writers do what a plan says, for tests of the engine.

The plan is a JSON file outside of the project, so that what writers do can change without a change
of the project: key → what is written as `state`, or `{"raise": …}`, `{"sleep": …}`. Writers leave a
mark for every run.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state import project as projects
from hatch_defs_state.errors import DefsStateError, flatten
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Finished, Outcome
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.settings.model import Settings
from hatch_defs_state.storage.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from hatch_defs_state.storage.manifest import Manifest

COMPONENTS = """\
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from hatch_defs_state import DefsStateConfig, ManagementType, StateBackedComponent

LOADED = Path(os.environ["SHOP"], "loaded", uuid.uuid4().hex)
LOADED.touch()


@dataclass
class Planned(StateBackedComponent):
    key: str
    url: str = ""
    kind: str = "LOCAL_FILESYSTEM"

    @property
    def defs_state_config(self):
        return DefsStateConfig(self.key, ManagementType(self.kind))

    def write_state_to_path(self, state_path):
        Path(os.environ["SHOP"], "runs", f"{self.key}-{uuid.uuid4().hex}").touch()
        plan = json.loads(Path(os.environ["SHOP"], "plan.json").read_text())[self.key]
        if isinstance(plan, dict) and "raise" in plan:
            raise RuntimeError(plan["raise"])
        if isinstance(plan, dict) and "sleep" in plan:
            time.sleep(plan["sleep"])
        state_path.write_text(json.dumps(plan))

    def build_defs_from_state(self, context, state_path):
        return json.loads(state_path.read_text())
"""


@dataclass
class Shop:
    """The project, its plan, and what refreshes of it report."""

    folder: Path
    settings: Settings

    @classmethod
    def make(cls, folder: Path, plan: dict[str, Any], **settings: Any) -> Shop:
        """Make a project below `folder` with a component for every key of `plan`."""
        shop = cls(folder, Settings(**settings))
        for name in ("runs", "loaded", "project/src/shop/defs/data"):
            (folder / name).mkdir(parents=True)
        package = folder / "project" / "src" / "shop"
        (package / "__init__.py").touch()
        (package / "defs" / "__init__.py").touch()
        (package / "components.py").write_text(COMPONENTS, encoding="utf-8")
        toml = '[project]\nname = "shop"\nversion = "1"\n'
        (folder / "project" / "pyproject.toml").write_text(toml, encoding="utf-8")
        shop.declare(*plan)
        shop.plan(**plan)
        return shop

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.folder / "project"

    @property
    def state(self) -> Path:
        """The folder of the state in the tree."""
        return self.root / "src" / "shop" / "defs" / ".local_defs_state"

    def declare(self, *keys: str, **attributes: str) -> None:
        """Declare the components of these keys, and no others."""
        more = "".join(f", {name}: {json.dumps(text)}" for name, text in attributes.items())
        documents = (
            f"type: shop.components.Planned\nattributes: {{key: {json.dumps(key)}{more}}}\n"
            for key in keys
        )
        (self.root / "src/shop/defs/defs.yaml").write_text("---\n".join(documents), "utf-8")

    def plan(self, **plan: Any) -> None:
        """Say what writers do from now on."""
        file = self.folder / "plan.json"
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps(before | plan), encoding="utf-8")

    def refresh(self, executor: Executor | None = None, **settings: Any) -> Refreshed:
        """Refresh the state of the tree, and say what happened."""
        chosen = replace(self.settings, **settings)
        project = projects.locate(projects.read_config(self.root), chosen)
        events: list[Event] = []
        errors: tuple[DefsStateError, ...] = ()
        before = self.count("runs"), self.count("loaded")
        manifest = None
        with self.environment(), Workspace.of(project.config) as workspace:
            try:
                generation = refresh(project, chosen, workspace, events.append, executor)
                publish(generation, self.state)
                manifest = generation.manifest
            except DefsStateError as error:
                errors = flatten([error])
        runs, loads = self.count("runs") - before[0], self.count("loaded") - before[1]
        return Refreshed(events, errors, manifest, runs, loads)

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Let writers find the plan."""
        before = os.environ.get("SHOP")
        os.environ["SHOP"] = str(self.folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ["SHOP"]

    def count(self, name: str) -> int:
        """Count marks."""
        return len(list((self.folder / name).iterdir()))

    def content(self) -> dict[str, Any]:
        """Return the state in the tree, by name of the key's folder."""
        return {
            file.parent.name: json.loads(file.read_text(encoding="utf-8"))
            for file in sorted(self.state.glob("*/state"))
        }


@dataclass(frozen=True)
class Refreshed:
    """What one refresh did.

    Attributes:
        events: What it reported.
        errors: Why it failed.
        manifest: What it published.
        runs: How many writers ran.
        loads: How many times a process imported the project.
    """

    events: list[Event]
    errors: tuple[DefsStateError, ...]
    manifest: Manifest | None
    runs: int
    loads: int

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """How the work on each key ended."""
        return {key: event.outcome for key, event in self.finished.items()}

    @property
    def finished(self) -> dict[str, Finished]:
        """The last event of each key."""
        return {event.key: event for event in self.events if isinstance(event, Finished)}

    @property
    def messages(self) -> list[str]:
        """The errors as users read them."""
        return [str(error) for error in self.errors]
