"""Tools that build wheels and PEX files: which are chosen, and what becomes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.support.commands import base_environment, find_uv, printed, run
from tests.support.frontends import kept_environment
from tests.support.plugin import ROOT, dependencies, plugin_wheel
from tests.support.wrapped import PEX
from tests.test_layouts import Arrangement, arrange

pytestmark = pytest.mark.slow

BUILD = """
import sys
from pathlib import Path
from hatch_defs_state.errors import ToolError
from hatch_defs_state.packing.tools import Log
from hatch_defs_state.packing.wheels import as_wheel
try:
    print(as_wheel(Path(sys.argv[1]), Path(sys.argv[2]), Log(print, lambda text: None)).wheel)
except ToolError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that make our package known to installers."""
    wheels = str(plugin_wheel(tmp_path_factory.mktemp("plugin")))
    return {"PIP_FIND_LINKS": wheels, "UV_FIND_LINKS": wheels}


def project(folder: Path, declarations: str) -> Path:
    """Make a project whose build requires our package."""
    made = arrange(Arrangement(), folder)
    (made / "src/broken/defs/defs.yaml").write_text(declarations, encoding="utf-8")
    toml = made / "pyproject.toml"
    text = toml.read_text(encoding="utf-8").replace(
        '["hatchling"]', '["hatchling", "hatch-defs-state"]'
    )
    toml.write_text(text, encoding="utf-8")
    return made


def uv_alone(folder: Path) -> str:
    """Return a search path that has uv, and no other tool of ours."""
    uv = find_uv()
    if uv is None:
        pytest.skip("there is no uv")
    (folder / "uv-alone").mkdir()
    (folder / "uv-alone" / "uv").symlink_to(uv)
    return f"{folder / 'uv-alone'}{os.pathsep}{os.defpath}"


@pytest.mark.parametrize("builder", ["uv build", "pip wheel"])
def test_wheels_are_built_by_what_is_installed(
    builder: str, links: dict[str, str], tmp_path: Path
) -> None:
    made = project(tmp_path, "type: broken.writers.Writer\n")
    pip = ("pip",) if builder == "pip wheel" else ()
    python = kept_environment(*pip, *dependencies())
    path = os.defpath if pip else uv_alone(tmp_path)
    environment = base_environment() | links | {"PYTHONPATH": str(ROOT), "PATH": path}
    (tmp_path / "wheels").mkdir()
    result = run([python, "-c", BUILD, made, tmp_path / "wheels"], env=environment)
    assert result.returncode == 0, printed(result)
    said = result.stdout.splitlines()
    assert said[0] == f"project: building the wheel with `{builder}`"
    assert said[1] == "1 writer to run"
    assert said[2].startswith("orders: refreshed in ")
    assert said[-1] == "broken-1.0.0-py3-none-any.whl"


def test_without_anything_that_builds_wheels_it_says_so(tmp_path: Path) -> None:
    environment = base_environment() | {"PYTHONPATH": str(ROOT), "PATH": os.defpath}
    python = kept_environment(*dependencies())
    result = run([python, "-c", BUILD, tmp_path, tmp_path], env=environment)
    assert result.returncode == 1
    assert result.stderr == (
        "nothing that builds wheels is installed\n  hint: run `pip install build`, or install uv\n"
    )


def command(*arguments: str | Path) -> list[str]:
    return [str(Path(sysconfig.get_path("scripts"), "defs-state")), "pex", *map(str, arguments)]


def search_path() -> dict[str, str]:
    folder = kept_environment(PEX).parent
    return {"PATH": os.pathsep.join([str(folder), os.environ.get("PATH", "")])}


def test_a_writer_that_fails_is_explained_without_the_log_around_it(
    links: dict[str, str], tmp_path: Path
) -> None:
    made = project(tmp_path, "type: broken.writers.Raises\n")
    app = tmp_path / "out" / "app.pex"
    result = run(command(made, "-o", app), env=base_environment() | links | search_path())
    assert result.returncode == 1
    error = result.stderr[result.stderr.index("error: ") :].splitlines()
    assert error[:5] == [
        f"error: python -m build cannot build the wheel of {made}: it ended with status 1",
        "  output:",
        (
            "    | defs-state: error: src/broken/defs/defs.yaml:1: [orders] the writer of "
            "broken.writers.Raises raised ConnectionError: the API answered 503"
        ),
        "    |   output of the writer:",
        "    |     | asking the API",
    ]
    assert not app.parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_left_running_when_it_is_told_to_end(
    links: dict[str, str], tmp_path: Path
) -> None:
    pid_file = json.dumps(str(tmp_path / "pid"))
    hangs = f"type: broken.writers.Hangs\nattributes: {{pid_file: {pid_file}}}\n"
    made = project(tmp_path, hangs)
    app = tmp_path / "out" / "app.pex"
    process = subprocess.Popen(
        command(made, "-o", app),
        env=base_environment() | links | search_path(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        while not (tmp_path / "pid").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert running(str(tmp_path)) == []
    assert not app.parent.exists()


def running(folder: str) -> list[str]:
    """Return the commands of the processes that work in a folder, or name it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if folder in command or place.startswith(folder):
            found.append(command)
    return found
