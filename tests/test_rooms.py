"""Dependencies between the rooms point downwards, and the engine knows no adapter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hatch_defs_state

PACKAGE = Path(hatch_defs_state.__file__).parent

# From the top: a room may use what stands below it.
ROOMS = (
    ("__main__",),
    ("cli", "hatch_hook", "pex_plugin"),
    ("hatch_build",),
    ("dagster",),
    ("reporting",),
    ("doctor", "packing"),
    ("assembly",),
    ("location",),
    ("artifacts", "refresh"),
    ("project", "requirements"),
    ("tables", "import_roots"),
    ("settings",),
    ("storage",),
    ("components",),
    ("errors",),
)
ENGINE = ("packing", "assembly", "artifacts", "refresh", "storage", "components", "location")
FOREIGN = {"hatchling", "pex", "dagster", "dagster_shared", "dagster_dbt", "click", "rich"}


def level(room: str) -> int:
    return next(number for number, rooms in enumerate(ROOMS) if room in rooms)


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_room_imports_nothing_above_it(file: Path) -> None:
    room = room_of(file)
    own = {name.split(".")[1] for name in imports(file) if name.startswith("hatch_defs_state.")}
    above = {other for other in own - {room, "__version__"} if level(other) <= level(room)}
    assert above == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_the_engine_knows_no_adapter(file: Path) -> None:
    if room_of(file) in ENGINE:
        assert {name.split(".")[0] for name in imports(file)} & FOREIGN == set()


def test_the_process_that_runs_writers_imports_little() -> None:
    script = (
        "import sys; import hatch_defs_state.refresh.host, hatch_defs_state.components.source; "
        "names = {name.split('.')[0] for name in sys.modules}; "
        "print(*sorted(names - set(sys.stdlib_module_names)))"
    )
    output = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    libraries = {name for name in output.split() if "cython" not in name}
    assert libraries - {"_yaml"} == {"__main__", "hatch_defs_state", "yaml"}


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {file.name: length for file, length in lengths.items() if length > 300} == {}
