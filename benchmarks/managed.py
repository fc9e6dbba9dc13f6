"""Isolated builds with a managed environment, against those that install Dagster each time."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Command, Figure
from tests.support.commands import find_uv, run_checked
from tests.support.frontends import front_ends
from tests.support.plugin import plugin_requirement
from tests.support.projects import copy_project, with_hook

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT = 0.5
_WRITERS_RAN = "defs-state: 1 writer to run"

HOOK = """\
import asyncio
import inspect
import re
import sys
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StateHook(BuildHookInterface):
    def initialize(self, version, build_data):
        sys.path.insert(0, f"{self.root}/src")
        from dagster.components.component.state_backed_component import StateBackedComponent
        from dagster.components.core.component_tree import ComponentTree

        folder = Path(tempfile.mkdtemp())
        tree = ComponentTree.for_project(Path(self.root))
        for component in tree.get_all_components(of_type=StateBackedComponent):
            key = re.sub(r"[^A-Za-z0-9._-]", "__", component.defs_state_config.key)
            (folder / key).mkdir()
            result = component.write_state_to_path(folder / key / "state")
            if inspect.isawaitable(result):
                asyncio.run(result)
            target = f"minimal/defs/.local_defs_state/{key}/state"
            build_data["force_include"][str(folder / key / "state")] = target
"""
TABLE = """
[tool.hatch.build.hooks.custom]
require-runtime-dependencies = true
"""


def managed(place: Path, installer: str, runs: int) -> Figure:
    """Time the second isolated build of `fixtures/dagster_minimal` with one component.

    With a lock, writers run in the managed environment that the first build made. The baseline is
    a hook written by hand that runs the same writers, with `require-runtime-dependencies`.

    Args:
        place: A folder, where one named like the installer is made.
        installer: What `python -m build` fills its environments with: `pip` or `uv`.
        runs: How many pairs are timed.
    """
    folder = place / installer
    folder.mkdir()
    uv = find_uv()
    if uv is None:
        raise RuntimeError("uv is needed to lock the project")
    project, plain = (_project(folder / name) for name in ("ours", "plain"))
    with_hook(project, _plugin(folder))
    run_checked([uv, "lock", "--quiet", "--python", sys.executable], cwd=project)
    (plain / "hatch_build.py").write_text(HOOK, encoding="utf-8")
    with (plain / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(TABLE)
    path = os.pathsep.join([str(Path(uv).parent), os.environ["PATH"]])
    build = (front_ends(), "-m", "build", "--wheel", "--installer", installer)
    ours = Command([*build, "--outdir", folder / "dist"], project, {"PATH": path})
    baseline = Command([*build, "--outdir", folder / "dist-plain"], plain, {"PATH": path})
    for command in (ours, baseline):
        command.run()
    pairs = []
    for _ in range(runs):
        sample = ours.run()
        if _WRITERS_RAN not in sample.output:
            raise RuntimeError(f"the writer did not run:\n{sample.output}")
        pairs.append((sample.seconds, baseline.run().seconds))
    ratio = statistics.median(a / b for a, b in pairs)
    return Figure(
        f"second isolated build of a Dagster project, {installer}",
        "require-runtime-dependencies",
        f"{_median([a for a, _ in pairs]):.2f} s",
        f"{_median([b for _, b in pairs]):.2f} s",
        f"{ratio:.2f}",
        f"≤ {_LIMIT:.2f}",
        ratio <= _LIMIT,
    )


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _project(folder: Path) -> Path:
    folder.mkdir()
    project = copy_project("dagster_minimal", folder)
    place = project / "src" / "minimal" / "defs" / "inventory"
    place.mkdir()
    text = "type: minimal.components.Inventory\nattributes: {name: stock}\n"
    (place / "defs.yaml").write_text(text, encoding="utf-8")
    return project


def _plugin(folder: Path) -> str:
    """Build the plugin and return the requirement that names the wheel, as if from an index."""
    source = plugin_requirement(folder).partition("@ file://")[2]
    out = folder / "plugin"
    run_checked([front_ends(), "-m", "build", "--wheel", "--outdir", out, source])
    return f"hatch-defs-state @ {next(out.glob('*.whl')).as_uri()}"
