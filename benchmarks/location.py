"""The figures of code locations: what a load and a reload read from the store."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.measure import Figure
from hatch_defs_state import CodeLocation
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.counting_store import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMPONENTS = """\
from dataclasses import dataclass

from hatch_defs_state import DefsStateConfig, ManagementType, StateBackedComponent


@dataclass
class Remote(StateBackedComponent):
    key: str

    @property
    def defs_state_config(self):
        return DefsStateConfig(self.key, ManagementType.VERSIONED_STATE_STORAGE)

    def write_state_to_path(self, state_path):
        raise AssertionError

    def build_defs_from_state(self, context, state_path):
        return {self.key: len(state_path.read_bytes())}
"""


def reload(folder: Path, keys: int, size: int) -> list[Figure]:
    """Count what a reload downloads after one of many keys has changed, and time it."""
    module = project(folder, keys)
    states = {f"k{number}": folder / "states" / f"k{number}" for number in range(keys)}
    (folder / "states").mkdir()
    for number, path in enumerate(states.values()):
        path.write_bytes(b"%9d" % number * (size // 9))
    VersionedStorage(folder / "store").push(states)
    store = CountingStore(folder / "store")
    store.downloads = []
    started = time.perf_counter()
    with CodeLocation(module, store=VersionedStorage("", store=store)) as location:
        first, cold = len(store.downloads), time.perf_counter() - started
        states["k7"].write_bytes(b"other")
        VersionedStorage(folder / "store").push({"k7": states["k7"]})
        store.downloads.clear()
        started = time.perf_counter()
        location.reload()
        warm = time.perf_counter() - started
        if location.merged["k7"] != len(b"other"):
            raise RuntimeError("the reload has not read what was pushed")
    downloads = len(store.downloads)
    return [
        Figure(
            f"reload with 1 of {keys} keys changed, downloads",
            "the first load",
            str(downloads),
            str(first),
            f"{downloads / first:.3f}",
            "= 1",
            downloads == 1,
        ),
        Figure(
            "that reload",
            "the first load",
            f"{warm:.2f} s",
            f"{cold:.2f} s",
            f"{warm / cold:.2f}",
            "≤ 1.00",
            warm <= cold,
        ),
    ]


def project(folder: Path, keys: int) -> str:
    """Make a project with versioned components that can be imported; return its defs module."""
    package = folder / "src" / "remote"
    (package / "defs").mkdir(parents=True)
    for place in (package, package / "defs"):
        (place / "__init__.py").touch()
    (package / "components.py").write_text(COMPONENTS, encoding="utf-8")
    documents = (
        f"type: remote.components.Remote\nattributes: {json.dumps({'key': f'k{number}'})}\n"
        for number in range(keys)
    )
    (package / "defs" / "defs.yaml").write_text("---\n".join(documents), encoding="utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "remote"\nversion = "1"\n', "utf-8")
    sys.path.insert(0, str(folder / "src"))
    return "remote.defs"


FIGURES: dict[str, Callable[[Path], list[Figure]]] = {
    "reload": lambda folder: reload(folder, 500, 10_000),
}
