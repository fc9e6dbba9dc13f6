"""A project in a temporary folder that can be imported and loaded."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING

from hatch_defs_state.components.loader import load_components

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from hatch_defs_state.components.declaration import LoadedProject

COMPONENTS = """
from dataclasses import dataclass
from hatch_defs_state.components.model import DefsStateConfig, StateBackedComponent

@dataclass
class Catalog(StateBackedComponent):
    name: str
    port: int = 5432

    @property
    def defs_state_config(self):
        return DefsStateConfig(key=f"Catalog[{self.name}]")

    def write_state_to_path(self, state_path):
        state_path.write_text(self.name)

    def build_defs_from_state(self, context, state_path):
        return state_path.read_text()

@dataclass
class Plain:
    name: str

    def build_defs(self, context):
        return self.name

class NotAComponent:
    pass
"""


class SampleProject:
    """A package `shop` with the modules and files that a test gives it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.package = root / "src" / "shop"
        self.defs = self.package / "defs"
        self.defs.mkdir(parents=True)
        for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(root / "src"))
        self.write("__init__.py", "")
        self.write("components.py", COMPONENTS)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the package."""
        path = self.package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def declare(self, text: str, name: str = "defs.yaml") -> Path:
        """Write a file of the defs folder; the text begins on its first line."""
        return self.write(f"defs/{name}", dedent(text).lstrip("\n"))

    def load(self) -> LoadedProject:
        """Load the defs folder."""
        return load_components(self.defs, self.root)

    def errors(self) -> list[str]:
        """Load the defs folder, and return its errors as a user sees them, without hints."""
        loaded = self.load()
        assert not loaded.warnings
        return [f"{error.location}: {error.message}" for error in loaded.errors]
