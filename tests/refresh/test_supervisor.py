"""Writers run apart from one another, so many at a time, and end when they are told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state import project as projects
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.refresh.events import Event, Outcome, Started, ignore
from hatch_defs_state.refresh.supervisor import Supervisor
from hatch_defs_state.settings.model import Settings
from tests.support.commands import base_environment
from tests.support.projects import FIXTURES, snapshot
from tests.test_failures import is_gone

if TYPE_CHECKING:
    from hatch_defs_state.refresh.attempt import Ended
    from hatch_defs_state.refresh.loaded import Loaded

DEFS_STATE = str(Path(sysconfig.get_path("scripts"), "defs-state"))


def make_project(folder: Path, declarations: str) -> projects.Project:
    root = Path(shutil.copytree(FIXTURES / "failing" / "project", folder / "broken"))
    (root / "src/broken/defs/defs.yaml").write_text(declarations, encoding="utf-8")
    return projects.locate(projects.read_config(root), Settings())


def run_all(
    project: projects.Project, scratch: Path, settings: Settings, *, fork: bool
) -> tuple[dict[str, Outcome], list[Event], dict[str, str]]:
    """Run every writer; return outcomes, events, and what was written as state."""
    outcomes, events, written = {}, list[Event](), {}
    scratch.mkdir()
    with Supervisor(project, settings, sys.executable, scratch, fork=fork) as supervisor:
        loaded = supervisor.load()
        for ended in supervisors_run(supervisor, loaded, events):
            key = ended.attempt.declaration.key
            outcomes[key] = ended.outcome
            state = ended.folder / "state"
            written[key] = state.read_text(encoding="utf-8") if state.is_file() else ""
    return outcomes, events, written


def supervisors_run(supervisor: Supervisor, loaded: Loaded, events: list[Event]) -> list[Ended]:
    ended: list[Ended] = []
    supervisor.run(enumerate(loaded.declarations), events.append, ended.append)
    return ended


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def writers(*keys: str) -> str:
    return "---\n".join(
        f"type: broken.writers.Writer\nattributes: {{key: {key}}}\n" for key in keys
    )


@pytest.mark.parametrize("fork", [True, False], ids=["forks", "pool"])
def test_one_failing_writer_of_many_harms_no_other(tmp_path: Path, fork: bool) -> None:
    declarations = writers("a", "b", "c") + "".join(
        f"---\ntype: broken.writers.{kind}\nattributes: {{key: {kind}}}\n"
        for kind in ("Raises", "KillsItself", "DiesWithTornFile", "CallsSysExit")
    )
    project = make_project(tmp_path, declarations)
    outcomes, _, written = run_all(project, tmp_path / "scratch", Settings(jobs=2), fork=fork)
    assert {key for key, outcome in outcomes.items() if outcome is Outcome.REFRESHED} == set("abc")
    assert {key: written[key] for key in "abc"} == {"a": "a", "b": "b", "c": "c"}
    assert len(outcomes) == 7


@pytest.mark.parametrize("fork", [True, False], ids=["forks", "pool"])
def test_no_more_writers_run_at_a_time_than_jobs_allows(tmp_path: Path, fork: bool) -> None:
    project = make_project(tmp_path, writers(*"abcdef"))
    append(
        project.root / "src/broken/writers.py",
        "\n\nimport glob, uuid\n\n\n"
        "def slow(self, state_path):\n"
        "    mark = Path(os.environ['MARKS'], uuid.uuid4().hex)\n"
        "    mark.touch()\n"
        "    time.sleep(0.3)\n"
        "    state_path.write_text(str(len(glob.glob(os.environ['MARKS'] + '/*'))))\n"
        "    mark.unlink()\n\n\n"
        "Writer.write_state_to_path = slow\n",
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    os.environ["MARKS"] = str(marks)
    try:
        _, _, written = run_all(project, tmp_path / "scratch", Settings(jobs=3), fork=fork)
    finally:
        del os.environ["MARKS"]
    assert 1 < max(map(int, written.values())) <= 3


@pytest.mark.parametrize("fork", [True, False], ids=["forks", "pool"])
def test_a_writer_that_hangs_is_ended_and_the_others_are_not(tmp_path: Path, fork: bool) -> None:
    pid_file = tmp_path / "pid"
    declarations = (
        f"type: broken.writers.Hangs\nattributes: {{key: hangs, pid_file: {pid_file}}}\n---\n"
        + writers("a", "b", "c")
    )
    project = make_project(tmp_path, declarations)
    settings = Settings(jobs=2, timeout=3)
    outcomes, _, _ = run_all(project, tmp_path / "scratch", settings, fork=fork)
    assert outcomes == {
        "hangs": Outcome.TIMED_OUT,
        "a": Outcome.REFRESHED,
        "b": Outcome.REFRESHED,
        "c": Outcome.REFRESHED,
    }
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


def test_every_attempt_starts_in_an_empty_folder(tmp_path: Path) -> None:
    project = make_project(tmp_path, "type: broken.writers.Writer\n")
    append(
        project.root / "src/broken/writers.py",
        "\n\ndef flaky(self, state_path):\n"
        "    tries = Path(os.environ['TRIES'])\n"
        "    tries.write_text(tries.read_text() + 'x' if tries.exists() else 'x')\n"
        "    assert not list(state_path.parent.iterdir())\n"
        "    state_path.write_text(tries.read_text())\n"
        "    (state_path.parent / 'sibling').touch()\n"
        "    assert tries.read_text() == 'xxx'\n\n\n"
        "Writer.write_state_to_path = flaky\n",
    )
    os.environ["TRIES"] = str(tmp_path / "tries")
    try:
        outcomes, events, written = run_all(
            project, tmp_path / "scratch", Settings(retries=2), fork=True
        )
    finally:
        del os.environ["TRIES"]
    assert outcomes == {"orders": Outcome.REFRESHED}
    assert written == {"orders": "xxx"}
    assert [e.attempt for e in events if isinstance(e, Started)] == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupt_ends_everything_within_two_seconds(
    tmp_path: Path, number: signal.Signals
) -> None:
    pid_file = tmp_path / "pid"
    declarations = f"type: broken.writers.Hangs\nattributes: {{pid_file: {pid_file}}}\n"
    project = make_project(tmp_path, declarations)
    before = snapshot(project.root)
    process = subprocess.Popen(
        [DEFS_STATE, "refresh", "--json"],
        cwd=project.root,
        env=base_environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    started = time.monotonic()
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - started < 2
    assert process.returncode == 128 + number
    assert "Traceback" not in stderr
    document = json.loads(stdout)
    assert document["status"] == "interrupted"
    assert document["keys"]["orders"]["outcome"] == "cancelled"
    assert stderr.endswith("nothing was changed\n\ninterrupted\n")
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))
    assert snapshot(project.root) == before
    assert not list(tmp_path.glob("defs-state-*"))


def test_a_module_that_hangs_while_it_is_imported_is_an_error(tmp_path: Path) -> None:
    project = make_project(tmp_path, writers("a"))
    (project.root / "src/broken/writers.py").write_text("import time\ntime.sleep(60)\n", "utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        Supervisor(project, Settings(timeout=1), sys.executable, scratch) as supervisor,
        pytest.raises(ProjectError, match="loading the project took longer than 1 s"),
    ):
        supervisor.load()


def test_a_module_that_ends_the_process_is_an_error(tmp_path: Path) -> None:
    project = make_project(tmp_path, writers("a"))
    (project.root / "src/broken/writers.py").write_text(
        "import os\nos.write(2, b'giving up\\n')\nos._exit(3)\n", encoding="utf-8"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        Supervisor(project, Settings(), sys.executable, scratch) as supervisor,
        pytest.raises(ProjectError) as caught,
    ):
        supervisor.load()
    assert str(caught.value) == (
        "the process that loads the project ended with exit status 3\n  output:\n    | giving up"
    )


def test_events_may_be_ignored(tmp_path: Path) -> None:
    project = make_project(tmp_path, writers("a"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Supervisor(project, Settings(), sys.executable, scratch) as supervisor:
        loaded = supervisor.load()
        ended: list[Ended] = []
        supervisor.run(enumerate(loaded.declarations), ignore, ended.append)
    assert [each.outcome for each in ended] == [Outcome.REFRESHED]


@pytest.mark.parametrize(
    "statement",
    [
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.set_wakeup_fd(-1)",
        (
            "import os, subprocess, sys; subprocess.Popen("
            "[sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
        ),
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close()",
    ],
    ids=["ignores ends of children", "starts a daemon", "has no output", "closes its output"],
)
def test_what_a_project_does_when_it_is_imported_does_not_hold_up_its_writers(
    tmp_path: Path, statement: str
) -> None:
    project = make_project(tmp_path, writers("a", "b"))
    append(project.root / "src/broken/writers.py", f"\n\n{statement}\n")
    started = time.monotonic()
    outcomes, _, _ = run_all(project, tmp_path / "scratch", Settings(timeout=20), fork=True)
    assert outcomes == {"a": Outcome.REFRESHED, "b": Outcome.REFRESHED}
    assert time.monotonic() - started < 15


def test_a_project_that_ends_while_it_is_imported_is_an_error(tmp_path: Path) -> None:
    project = make_project(tmp_path, writers("a"))
    (project.root / "src/broken/__init__.py").write_text("import sys; sys.exit(0)\n", "utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        Supervisor(project, Settings(), sys.executable, scratch) as supervisor,
        pytest.raises(ProjectError, match="SystemExit"),
    ):
        supervisor.load()
