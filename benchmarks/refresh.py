"""The figures of the refresh engine and of the hook."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.managed import managed
from benchmarks.measure import Command, Figure, compare, peak_memory
from tests.support.commands import HATCHLING, install, make_venv
from tests.support.frontends import kept_environment
from tests.support.projects import FIXTURES, copy_project

if TYPE_CHECKING:
    from collections.abc import Callable

DEFS_STATE = Path(sysconfig.get_path("scripts"), "defs-state")
ROOT = Path(__file__).resolve().parents[1]
DG = ("dagster>=1.13.27", "dagster-dg-cli>=1.13.27")
OURS = ("click", "dependency-groups", "filelock", "packaging", "pathspec", "platformdirs", "pyyaml")

BLOCKING = """

import time


@dataclass
class Blocking(Inventory):
    async def write_state_to_path(self, state_path):
        time.sleep(1)
        state_path.write_text(self.name)
"""

WRITER = """\
import os
from dataclasses import dataclass

from hatch_defs_state import DefsStateConfig, StateBackedComponent


@dataclass
class Block(StateBackedComponent):
    key: str
    size: int
    count: int = 1

    @property
    def defs_state_config(self):
        return DefsStateConfig(self.key)

    def write_state_to_path(self, state_path):
        state_path.write_bytes(b"x")
        for number in range(self.count):
            with (state_path.parent / f"block-{number}").open("wb") as file:
                for _ in range(self.size // 65536 + 1):
                    file.write(os.urandom(32768).hex().encode()[: min(self.size, 65536)])

    def build_defs_from_state(self, context, state_path):
        return None
"""


def dagster_refresh(folder: Path, components: int, limit: float, runs: int) -> Figure:
    """Time `defs-state refresh` against `dg utils refresh-defs-state` on one Dagster project."""
    project = copy_project("dagster_minimal", folder)
    package = project / "src" / "minimal"
    module = package / "components.py"
    module.write_text(module.read_text(encoding="utf-8") + BLOCKING, encoding="utf-8")
    kind = "Inventory" if components == 1 else "Blocking"
    for number in range(components):
        place = package / "defs" / f"c{number}"
        place.mkdir()
        (place / "defs.yaml").write_text(
            f"type: minimal.components.{kind}\nattributes: {{name: n{number}}}\n", encoding="utf-8"
        )
    python = kept_environment(*DG, *OURS)
    paths = f"{ROOT}:{project / 'src'}"
    ours = Command(
        [python, "-m", "hatch_defs_state", "refresh", "--jobs", "16"],
        project,
        {"PYTHONPATH": str(ROOT)},
    )
    dg = Command(
        [python.with_name("dg"), "utils", "refresh-defs-state"],
        project,
        {
            "PYTHONPATH": paths,
            "VIRTUAL_ENV": str(python.parents[1]),
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "DG_CLI_CONFIG": str(folder / "dg.toml"),
        },
    )
    what = "1 trivial Dagster component" if components == 1 else "16 that block for 1 s"
    return compare(what, "dg utils refresh-defs-state", ours, dg, limit, runs)


def rebuild(folder: Path, runs: int) -> Figure:
    """Time a rebuild with nothing changed against the same project without the hook.

    The environment is such as front ends make: hatchling, this package, and what they need.
    """
    python = make_venv(folder / "environment")
    install(python, "hatchling>=1.27", ROOT)
    project = copy_project("quickstart", folder)
    plain = Path(shutil.copytree(project, folder / "plain"))
    toml = (plain / "pyproject.toml").read_text(encoding="utf-8")
    without = toml.replace("[tool.hatch.build.hooks.defs-state]", "")
    (plain / "pyproject.toml").write_text(without, encoding="utf-8")
    build = [python.with_name("hatchling"), "build", "-t", "wheel"]
    ours = Command(build, project, {"DEFS_STATE_REFRESH": "reuse"})
    baseline = Command(build, plain, {})
    # The first one compiles modules and runs the writer, the second one leaves the receipt.
    for command in (ours, ours, baseline):
        command.run()
    return compare(
        "rebuild, nothing changed", "hatchling without the hook", ours, baseline, 1.15, runs
    )


def many(folder: Path, runs: int) -> list[Figure]:
    """Measure 2,000 plain components of 10 KB each: engine time a component, and memory."""
    figures = []
    seconds: dict[int, float] = {}
    memory: dict[int, int] = {}
    for count in (500, 2000):
        project = plain_project(folder / str(count), [(f"k{n}", 10_000, 1) for n in range(count)])
        command = [DEFS_STATE, "refresh"]
        samples = [Command(command, project, {}).run().seconds for _ in range(runs)]
        seconds[count] = statistics.median(samples)
        memory[count] = peak_memory(command, project, {})
    each = (seconds[2000] - seconds[500]) / 1500 * 1000
    writing = writers_alone(folder / "2000")
    engine = each - writing
    figures.append(
        Figure(
            "2,000 components of 10 KB, each",
            "the writers alone",
            f"{each:.2f} ms",
            f"{writing:.2f} ms",
            f"{engine:.2f} ms of engine",
            "≤ 2 ms",
            engine <= 2,
        )
    )
    megabytes = {count: size / 1e6 for count, size in memory.items()}
    figures.append(
        Figure(
            "memory with 2,000 components",
            "with 500",
            f"{megabytes[2000]:.0f} MB",
            f"{megabytes[500]:.0f} MB",
            f"{megabytes[2000] / megabytes[500]:.2f}",
            "≤ 150 MB, flat",
            megabytes[2000] <= 150 and megabytes[2000] <= 1.25 * megabytes[500],
        )
    )
    return figures


def writers_alone(project: Path) -> float:
    """Return the milliseconds that one writer takes when all run in one process."""
    script = (
        "import sys, time, tempfile, pathlib; sys.path.insert(0, 'src'); "
        "from blocks.components import Block; folder = pathlib.Path(tempfile.mkdtemp()); "
        "started = time.perf_counter(); "
        "[(folder / str(n)).mkdir() or "
        "Block(str(n), 10000).write_state_to_path(folder / str(n) / 'state') "
        "for n in range(2000)]; "
        "print((time.perf_counter() - started) / 2)"
    )
    return float(Command([sys.executable, "-c", script], project, {}).run().output)


def large(folder: Path, runs: int) -> list[Figure]:
    """Time 1 GB of state into a wheel against hatchling packing the same files by itself."""
    project = plain_project(folder / "large", [("large", 50_000_000, 20)])
    plain = Path(shutil.copytree(project, folder / "plain"))
    Command([DEFS_STATE, "refresh"], project, {}).run()
    state = project / "src/blocks/defs/.local_defs_state"
    shutil.move(state, plain / "src" / "blocks" / "data")
    toml = (plain / "pyproject.toml").read_text(encoding="utf-8")
    without = toml.replace("[tool.hatch.build.hooks.defs-state]", "")
    (plain / "pyproject.toml").write_text(without, encoding="utf-8")
    build = [HATCHLING, "build", "-t", "wheel"]
    variables = {"DEFS_STATE_REFRESH": "reuse"}
    figure = compare(
        "1 GB of state into a wheel",
        "hatchling packing the same files",
        Command(build, project, variables),
        Command(build, plain, {}),
        1.10,
        runs,
    )
    memory = peak_memory(build, project, variables) / 1e6
    return [
        figure,
        Figure("memory of that build", "", f"{memory:.0f} MB", "", "", "≤ 100 MB", memory <= 100),
    ]


def help_text(folder: Path, runs: int) -> Figure:
    """Measure what `defs-state --help` takes over a bare interpreter."""
    ours = Command([DEFS_STATE, "--help"], folder, {})
    bare = Command([sys.executable, "-c", "pass"], folder, {})
    pairs = [(ours.run().seconds, bare.run().seconds) for _ in range(runs)]
    extra = statistics.median(a - b for a, b in pairs) * 1000
    return Figure(
        "defs-state --help",
        "python -c pass",
        f"{statistics.median(a for a, _ in pairs) * 1000:.0f} ms",
        f"{statistics.median(b for _, b in pairs) * 1000:.0f} ms",
        f"+{extra:.0f} ms",
        "≤ +150 ms",
        extra <= 150,
    )


def plain_project(root: Path, blocks: list[tuple[str, int, int]]) -> Path:
    """Make a project without Dagster whose components write `count` files of `size` bytes."""
    package = root / "src" / "blocks"
    (package / "defs").mkdir(parents=True)
    for folder in (package, package / "defs"):
        (folder / "__init__.py").touch()
    (package / "components.py").write_text(WRITER, encoding="utf-8")
    for key, size, count in blocks:
        attributes = json.dumps({"key": key, "size": size, "count": count})
        place = package / "defs" / key
        place.mkdir()
        (place / "defs.yaml").write_text(
            f"type: blocks.components.Block\nattributes: {attributes}\n", encoding="utf-8"
        )
    toml = (FIXTURES / "failing/project/pyproject.toml").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(toml.replace("broken", "blocks"), encoding="utf-8")
    return root


FIGURES: dict[str, Callable[[Path], list[Figure]]] = {
    "help": lambda folder: [help_text(folder, 15)],
    "rebuild": lambda folder: [rebuild(folder, 15)],
    "one": lambda folder: [dagster_refresh(folder, 1, 0.45, 3)],
    "sixteen": lambda folder: [dagster_refresh(folder, 16, 0.22, 2)],
    "managed": lambda folder: [managed(folder, name, 3) for name in ("pip", "uv")],
    "many": lambda folder: many(folder, 3),
    "large": lambda folder: large(folder, 3),
}
