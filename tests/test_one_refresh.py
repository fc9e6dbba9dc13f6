"""Artifacts that are built side by side share one refresh, and never one of another build."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.sdist import verify_sdist
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.refresh.front_end import Process, current_build, read_process
from tests.support.commands import CACHE_VARIABLE, HATCHLING, base_environment, run_checked
from tests.test_layouts import Arrangement, arrange

if TYPE_CHECKING:
    from collections.abc import Callable

    Builder = Callable[..., int]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose writer says that it runs, and writes something new each time."""
    project = arrange(Arrangement(), tmp_path)
    writers = project / "src/broken/writers.py"
    code = writers.read_text("utf-8").replace(
        "state_path.write_text(self.key, ",
        "open(os.environ['RUNS'], 'a').write('.')\n"
        "        state_path.write_text(str(time.time()), ",
    )
    assert "RUNS" in code
    writers.write_text(code, "utf-8")
    return project


@pytest.fixture
def build(project: Path, tmp_path: Path) -> Builder:
    """Runs a command in the project, and returns how often its writer ran."""
    log = tmp_path / "runs"

    def build(*command: str | Path, **variables: str) -> int:
        log.write_text("", "utf-8")
        more = {"RUNS": str(log), CACHE_VARIABLE: str(tmp_path / "cache")}
        run_checked(command, cwd=project, env=base_environment() | more | variables)
        return len(log.read_text("utf-8"))

    return build


SDIST = (HATCHLING, "build", "-t", "sdist")
WHEEL = (HATCHLING, "build", "-t", "wheel")


def test_one_process_runs_each_writer_once_for_all_artifacts(project: Path, build: Builder) -> None:
    assert build(HATCHLING, "build", "-t", "sdist", "-t", "wheel") == 1
    dist = project / "dist"
    sdist = verify_sdist(dist / "broken-1.0.0.tar.gz").manifest
    assert verify_wheel(dist / "broken-1.0.0-py3-none-any.whl").manifest == sdist


def test_builds_one_after_the_other_share_nothing(build: Builder) -> None:
    assert [build(*SDIST), build(*WHEEL), build(*WHEEL)] == [1, 1, 1]


def test_processes_with_one_build_identifier_share_a_refresh(project: Path, build: Builder) -> None:
    first = {"DEFS_STATE_BUILD_ID": "pipeline-1"}
    assert [build(*SDIST, **first), build(*WHEEL, **first)] == [1, 0]
    dist = project / "dist"
    sdist = verify_sdist(dist / "broken-1.0.0.tar.gz").manifest
    assert verify_wheel(dist / "broken-1.0.0-py3-none-any.whl").manifest == sdist
    assert build(*WHEEL, DEFS_STATE_BUILD_ID="pipeline-2") == 1


def test_a_changed_project_is_refreshed_again_in_the_same_build(
    project: Path, build: Builder
) -> None:
    same = {"DEFS_STATE_BUILD_ID": "pipeline-1"}
    assert build(*SDIST, **same) == 1
    with (project / "src/broken/defs/defs.yaml").open("a", encoding="utf-8") as file:
        file.write("attributes:\n  key: orders\n")
    assert build(*WHEEL, **same) == 1
    assert build(*WHEEL, **same) == 0


def test_a_build_that_took_long_ago_is_another_one(build: Builder, tmp_path: Path) -> None:
    same = {"DEFS_STATE_BUILD_ID": "pipeline-1"}
    assert build(*SDIST, **same) == 1
    (note,) = (tmp_path / "cache").rglob("build.json")
    document = json.loads(note.read_text("utf-8"))
    note.write_text(json.dumps(document | {"ended": document["ended"] - 601}), "utf-8")
    assert build(*WHEEL, **same) == 1


def test_state_that_was_altered_in_the_cache_is_not_shared(build: Builder, tmp_path: Path) -> None:
    same = {"DEFS_STATE_BUILD_ID": "pipeline-1"}
    assert build(*SDIST, **same) == 1
    (state,) = (tmp_path / "cache").rglob("generations/*/orders/state")
    state.write_text("altered", "utf-8")
    assert build(*WHEEL, **same) == 1


def test_processes_that_one_front_end_starts_belong_to_one_build(
    build: Builder, tmp_path: Path
) -> None:
    # A front end like `hatch build`: named as one, and running a process for each artifact.
    front_end = tmp_path / "hatch"
    front_end.write_text(
        "import subprocess, sys\n"
        f"for target in ('sdist', 'wheel'):\n"
        f"    subprocess.run([{HATCHLING!r}, 'build', '-t', target], check=True)\n",
        "utf-8",
    )
    assert build(sys.executable, front_end, "build") == 1
    assert build(sys.executable, front_end, "build") == 1
    other = front_end.rename(tmp_path / "release.py")
    assert build(sys.executable, other, "build") == 2


@pytest.mark.parametrize(
    ("arguments", "front_end", "between"),
    [
        (("/usr/bin/python3", "-m", "build", "--wheel"), True, False),
        (("python3.12", "-I", "/opt/bin/hatch", "build"), True, False),
        (("python3", "-X", "utf8", "-W", "ignore", "-m", "build"), True, False),
        (("python3", "-c", "import build"), False, False),
        (("python3", "-c", "import subprocess, sys", "build"), False, False),
        (("/opt/bin/uv", "build"), True, False),
        (("/opt/bin/uv", "--directory", "a", "--project", "b", "run", "sh"), False, False),
        (("/opt/bin/uv", "run", "pytest"), False, False),
        (("/opt/bin/uv", "sync", "--extra", "test"), True, False),
        (("python", "-m", "pip", "wheel", "--wheel-dir", "test", "."), True, False),
        (("python", "-m", "pytest"), False, False),
        (("/usr/bin/pip3.11", "wheel", "."), True, False),
        (("python", "/opt/bin/pex", "."), True, False),
        (("python", "/home/me/.cache/pex/venvs/4/b6/5f/pex", "wheel"), False, True),
        (("/bin/sh", "-c", "python -m hatchling build"), False, True),
        (("bash", "release.sh"), False, False),
        (("python",), False, False),
        ((), False, False),
    ],
)
def test_a_front_end_is_told_from_what_runs_builds_of_its_own(
    arguments: tuple[str, ...], front_end: bool, between: bool
) -> None:
    process = Process(1, 0, "", arguments)
    assert (process.is_front_end, process.is_between) == (front_end, between)


def test_a_process_of_its_own_is_a_build_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFS_STATE_BUILD_ID", raising=False)
    own = read_process(os.getpid())
    assert own is not None
    assert own.parent == os.getppid()
    assert current_build() == f"process {own.pid} {own.started}"
    monkeypatch.setenv("DEFS_STATE_BUILD_ID", "7")
    assert current_build() == "id 7"


def test_where_there_is_no_proc_ps_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    known = read_process(os.getpid())

    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    told = read_process(os.getpid())
    assert known is not None
    assert told is not None
    assert (told.parent, told.arguments[0]) == (known.parent, known.arguments[0])
