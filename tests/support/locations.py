"""A project whose components read what they are given, for tests of code locations.

Writers take what they write from a JSON file outside of the project, and leave a mark for every
run, in whatever process.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import SourceLocation
from hatch_defs_state.storage.generation import Generation, measure
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest, Pinned
from hatch_defs_state.storage.publish import publish
from hatch_defs_state.storage.versioned import VersionedStorage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

LOCAL = "LOCAL_FILESYSTEM"
VERSIONED = "VERSIONED_STATE_STORAGE"
SNAPSHOT = "LEGACY_CODE_SERVER_SNAPSHOTS"

COMPONENTS = """\
import asyncio
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from hatch_defs_state import DefsStateConfig, ManagementType, StateBackedComponent

OUTSIDE = Path(__OUTSIDE__)


@dataclass
class Told(StateBackedComponent):
    key: str
    kind: str = "LOCAL_FILESYSTEM"
    dev: bool = True
    note: str = ""

    @property
    def defs_state_config(self):
        return DefsStateConfig(self.key, ManagementType(self.kind), self.dev)

    async def write_state_to_path(self, state_path):
        (OUTSIDE / "runs" / f"{self.key}-{os.getpid()}-{uuid.uuid4().hex}").touch()
        (OUTSIDE / "places" / self.key).write_text(str(state_path))
        await asyncio.sleep(0)
        content = json.loads((OUTSIDE / "plan.json").read_text())[self.key]
        if content is None:
            raise RuntimeError("the source is down")
        state_path.write_text(content)

    def build_defs_from_state(self, context, state_path):
        with (OUTSIDE / "paths").open("a") as file:
            file.write(f"{state_path}\\n")
        hook = OUTSIDE / "while building.py"
        if hook.exists():
            exec(hook.read_text(), {"path": state_path, "key": self.key})
        return None if state_path is None else {self.key: state_path.read_text()}
"""


@dataclass
class Located:
    """A project with components, and the store that it uses.

    Attributes:
        folder: Holds everything.
        package: Name of the package, another one each time.
    """

    folder: Path
    package: str

    @classmethod
    def make(cls, folder: Path, patch: pytest.MonkeyPatch, **kinds: str) -> Located:
        """Make a source tree with a component for each key, which can be imported from now on."""
        made = cls(folder, f"shop_{uuid.uuid4().hex}")
        for name in ("runs", "places"):
            (folder / name).mkdir()
        source = folder / "project" / "src" / made.package
        (source / "defs").mkdir(parents=True)
        for place in (source, source / "defs"):
            (place / "__init__.py").touch()
        code = COMPONENTS.replace("__OUTSIDE__", repr(str(folder)))
        (source / "components.py").write_text(code, "utf-8")
        made.configure()
        made.declare(**kinds)
        patch.syspath_prepend(str(folder / "project" / "src"))
        return made

    @property
    def module(self) -> str:
        """The defs module."""
        return f"{self.package}.defs"

    @property
    def root(self) -> Path:
        """The project's root."""
        return self.folder / "project"

    @property
    def defs(self) -> Path:
        """The defs folder in the source tree."""
        return self.root / "src" / self.package / "defs"

    @property
    def state(self) -> Path:
        """The state in the source tree."""
        return self.defs / ".local_defs_state"

    @property
    def storage(self) -> VersionedStorage:
        """The store."""
        return VersionedStorage(self.folder / "store")

    def configure(self, **settings: str) -> None:
        """Write the project's `pyproject.toml`, with settings as TOML has them."""
        lines = ["[project]", 'name = "shop"', 'version = "1"', "[tool.defs-state]"]
        lines += [f"{name.replace('_', '-')} = {value}" for name, value in settings.items()]
        (self.root / "pyproject.toml").write_text("\n".join([*lines, ""]), "utf-8")

    def declare(self, **kinds: str) -> None:
        """Declare the components of these keys, and no others; `dev=False` after a comma."""
        documents = []
        for key, text in kinds.items():
            kind, *more = text.split(",")
            rest = "".join(f", {item}" for item in more)
            documents.append(
                f"type: {self.package}.components.Told\n"
                f"attributes: {{key: {json.dumps(key)}, kind: {kind}{rest}}}\n"
            )
        (self.defs / "defs.yaml").write_text("---\n".join(documents), "utf-8")

    def plan(self, **contents: str | None) -> None:
        """Say what writers write; one that has `None` fails."""
        (self.folder / "plan.json").write_text(json.dumps(contents), "utf-8")

    def while_building(self, code: str) -> None:
        """Run code, with `path` and `key`, whenever a component builds definitions."""
        (self.folder / "while building.py").write_text(code, "utf-8")

    def runs(self) -> list[str]:
        """Return the keys whose writers ran, once for every run."""
        return sorted(file.name.split("-")[0] for file in (self.folder / "runs").iterdir())

    def paths(self) -> list[Path]:
        """Return what components were given to build from since the last call."""
        file = self.folder / "paths"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [Path(line) for line in lines]

    def publish(self, **contents: str) -> Manifest:
        """Put a generation with these states into the source tree, as a refresh does."""
        return self.publish_to(self.state, contents)

    def publish_to(
        self,
        target: Path,
        contents: Mapping[str, str],
        bundled: Mapping[str, tuple[str, str]] | None = None,
        pinned: Pinned | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Put a generation in a folder.

        Args:
            target: The folder.
            contents: The state of each key.
            bundled: For each versioned key its version, and its content.
            pinned: The commit that the versions belong to.
            settings: What an artifact records.
        """
        work = self.folder / "writing"
        files: dict[str, Path] = {}

        def entry(place: str, text: str, kind: str, **more: Any) -> KeyEntry:
            file = work / place / "state"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            files[f"{place}/state"] = file
            location = SourceLocation("defs.yaml", 1)
            sizes = {"state": measure(file)}
            return KeyEntry("shop.Told", location, ManagementType(kind), sizes, **more)

        keys = {key: entry(folder_name(key), text, LOCAL) for key, text in contents.items()}
        elsewhere = {
            key: entry(f"@versions/{folder_name(key)}", text, VERSIONED, version=version)
            for key, (version, text) in (bundled or {}).items()
        }
        manifest = Manifest("shop", keys, elsewhere, pinned, settings or {})
        publish(Generation(manifest, files), target)
        shutil.rmtree(work, ignore_errors=True)
        return manifest

    def push(self, storage: VersionedStorage | None = None, **contents: str) -> dict[str, str]:
        """Push states of versioned keys; return the versions that are current then."""
        paths = {}
        for key, text in contents.items():
            paths[key] = self.folder / f"pushed-{uuid.uuid4().hex}"
            paths[key].write_text(text, "utf-8")
        head = (storage or self.storage).push(paths)
        return {key: one.version for key, one in head.versions.items()}

    def install(self) -> Path:
        """Move the package to where installed ones are; return that folder."""
        site = self.folder / "site-packages"
        site.mkdir()
        shutil.move(self.root / "src" / self.package, site / self.package)
        sys.path.insert(0, str(site))
        return site
