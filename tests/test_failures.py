"""What users and writers do wrong is refused with its message, and nothing changes."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from hatch_defs_state.requirements import writer_requirements
from hatch_defs_state.settings.model import Settings
from tests.support.commands import HATCHLING, base_environment, printed, run
from tests.support.projects import FIXTURES, snapshot

FAILING = FIXTURES / "failing"
DECLARED = "src/broken/defs/defs.yaml"

WRITERS = {
    "writer-raises": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.Raises "
        "raised ConnectionError: the API answered 503\n"
        "  output of the writer:\n"
        "    | asking the API\n"
        '    |   File "{root}/src/broken/writers.py", line {line}, in write_state_to_path\n'
        '    |     raise ConnectionError("the API answered 503")\n'
        "    | ConnectionError: the API answered 503\n"
    ),
    "async-writer-raises": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.RaisesAsync "
        "raised ConnectionError: the API answered 503\n"
    ),
    "writer-writes-nothing": (
        f"{DECLARED}:1: [orders] the writer returned and left no state behind\n"
    ),
    "writer-dies-with-torn-file": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.DiesWithTornFile "
        "ended with exit status 7\n"
    ),
    "writer-leaves-with-status-0": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.LeavesWithStatusZero "
        "ended its process with exit status 0 instead of returning\n"
    ),
    "writer-replaces-its-folder": (
        f"{DECLARED}:1: [orders] the writer has put a link in the place of its folder\n"
    ),
    "writer-calls-sys-exit": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.CallsSysExit "
        "called sys.exit('no credentials')\n"
    ),
    "writer-deletes-parent-folder": (
        f"{DECLARED}:1: [orders] the writer returned and left no state behind\n"
    ),
    "writer-links-to-passwd": (
        f"{DECLARED}:1: [orders] users is a link that leaves the state folder: "
        "it points to /etc/passwd\n"
    ),
    "writer-kills-itself": (
        f"{DECLARED}:1: [orders] the writer of broken.writers.KillsItself was killed by SIGKILL\n"
    ),
    "one-writer-of-two-raises": (
        f"{DECLARED}:5: [orders] the writer of broken.writers.Raises "
        "raised ConnectionError: the API answered 503\n"
    ),
}

DECLARATIONS = {
    "keys-share-a-folder": (
        (
            f"{DECLARED}:5: [sales:eu] the state key 'sales:eu' and the key 'sales/eu' "
            f"at {DECLARED}:1 share the folder 'sales__eu'"
        ),
        (
            f"{DECLARED}:9: [SALES__EU] the state key 'SALES__EU' and the key 'sales/eu' "
            f"at {DECLARED}:1 share the folder 'sales__eu'"
        ),
    ),
    "keys-that-are-no-folders": (
        f'{DECLARED}:1: [..] the state key ".." would be the folder .., outside of its own state',
        f"{DECLARED}:5: [] the state key is empty",
        (
            f'{DECLARED}:9: [manifest.json] the state key "manifest.json" is a name that the state '
            "folder uses for itself"
        ),
    ),
    "key-with-two-configurations": (
        (
            f"{DECLARED}:5: [orders] the component at {DECLARED}:1 has the same state key "
            "and another configuration"
        ),
    ),
    "yaml-syntax-error": (
        (
            f"{DECLARED}:2:20: invalid YAML: while parsing a flow node, "
            "expected the node content, but found '}'"
        ),
    ),
    "unknown-type": (
        f"{DECLARED}:1:7: module broken.writers has no class Writter; did you mean 'Writer'?",
    ),
    "no-component-class": (f"{DECLARED}:1:7: broken.writers.NoComponent is not a component class",),
    "wrong-attributes": (
        f"{DECLARED}:3:3: unknown attribute 'kee'; did you mean 'key'?",
        (
            f"{DECLARED}:4:20: attribute 'management_type': expected one of 'LOCAL_FILESYSTEM', "
            "'VERSIONED_STATE_STORAGE', 'LEGACY_CODE_SERVER_SNAPSHOTS', got the string 'LOCAL'"
        ),
    ),
    "missing-variable": (f"{DECLARED}:3:8: environment variable REGION is not set",),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that lacks only its declarations."""
    return Path(shutil.copytree(FAILING / "project", tmp_path / "broken"))


def declare(project: Path, failure: str) -> None:
    shutil.copyfile(FAILING / f"{failure}.yaml", project / DECLARED)


def build(project: Path, **variables: str) -> tuple[int, str]:
    """Build a wheel with hatchling's own front end; return exit status and output."""
    command = [HATCHLING, "build", "-t", "wheel"]
    result = run(command, cwd=project, env=base_environment() | variables)
    return result.returncode, printed(result)


def assert_refused(project: Path, status: int, output: str, before: object) -> None:
    assert status == 1, output
    assert "Traceback" not in output
    assert list((project / "dist").iterdir()) == []
    (project / "dist").rmdir()
    assert snapshot(project) == before


@pytest.mark.parametrize("failure", WRITERS)
def test_a_failing_writer_fails_the_build_and_says_why(project: Path, failure: str) -> None:
    declare(project, failure)
    before = snapshot(project)
    status, output = build(project)
    assert_refused(project, status, output, before)
    source = (project / "src/broken/writers.py").read_text(encoding="utf-8").splitlines()
    raising = '        raise ConnectionError("the API answered 503")'
    message = WRITERS[failure].format(root=project, line=source.index(raising) + 1)
    assert f"defs-state: error: {message}" in f"{output}\n"


@pytest.mark.parametrize("failure", DECLARATIONS)
def test_a_wrong_declaration_is_refused_before_any_writer_runs(project: Path, failure: str) -> None:
    declare(project, failure)
    before = snapshot(project)
    status, output = build(project)
    assert_refused(project, status, output, before)
    errors = [line for line in output.splitlines() if line.startswith("defs-state: error: ")]
    assert errors == [f"defs-state: error: {message}" for message in DECLARATIONS[failure]]
    assert "to run" not in output


def test_in_github_actions_failures_are_annotated_and_summed_up(
    project: Path, tmp_path: Path
) -> None:
    declare(project, "one-writer-of-two-raises")
    summary = tmp_path / "summary.md"
    actions = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_WORKSPACE": str(tmp_path),
    }
    status, output = build(project, **actions)
    assert status == 1
    annotations = [line for line in output.splitlines() if line.startswith("::error ")]
    (annotation,) = annotations
    assert annotation.startswith(f"::error file=broken/{DECLARED},line=5,")
    assert "| customers | refreshed |" in summary.read_text(encoding="utf-8")
    declare(project, "unknown-type")
    status, output = build(project, **actions)
    annotations = [line for line in output.splitlines() if line.startswith("::error ")]
    assert len(annotations) == 1
    assert annotations[0].startswith(f"::error file=broken/{DECLARED},line=1,col=7,")


def test_binary_output_is_shown_without_control_characters(project: Path) -> None:
    declare(project, "writer-prints-binary")
    status, output = build(project)
    assert status == 1
    assert "raised ValueError: that was all" in output
    assert " after\n" in output
    assert not set(output) & {chr(code) for code in (*range(9), *range(11, 32), 127)}


def test_a_hanging_writer_is_killed_with_all_that_it_started(project: Path, tmp_path: Path) -> None:
    declare(project, "writer-hangs")
    pid_file = tmp_path / "pid"
    before = snapshot(project)
    status, output = build(project, PID_FILE=str(pid_file), DEFS_STATE_TIMEOUT="2s")
    assert_refused(project, status, output, before)
    assert (
        f"defs-state: error: {DECLARED}:1: [orders] the writer of broken.writers.Hangs "
        "ran longer than 2 s and was killed\n"
        "  output of the writer:\n"
        "    | waiting for an answer\n"
    ) in output
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


def is_gone(pid: int) -> bool:
    """Whether a process ends within a few seconds (it may wait for init to collect it)."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_the_whole_chain_of_a_failure_is_shown_whatever_became_of_sys_stderr(
    project: Path,
) -> None:
    declare(project, "writer-raises-with-context")
    status, output = build(project)
    assert status == 1
    assert "    | KeyError: 'token'\n" in output
    assert output.endswith("    | RuntimeError: no token")
    assert "Traceback" not in output


def test_what_a_writer_leaves_running_is_ended_before_its_state_is_judged(project: Path) -> None:
    declare(project, "writer-keeps-writing-in-the-background")
    status, output = build(project)
    assert status == 0, output
    assert "1 state verified" in output


def test_files_that_a_writer_leaves_in_the_package_stay_out_of_the_wheel(project: Path) -> None:
    declare(project, "writer-leaves-files-in-the-package")
    status, output = build(project)
    assert status == 0, output
    assert "broken/cache.json was written while the writers ran and is kept out" in output
    (wheel,) = (project / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert "broken/cache.json" not in archive.namelist()


@pytest.mark.parametrize("left_out", ["src/broken/defs/defs.yaml", "src/broken/writers.py"])
def test_a_wheel_that_leaves_out_what_a_component_needs_is_refused(
    project: Path, left_out: str
) -> None:
    declare(project, "kept-elsewhere")
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'[tool.hatch.build.targets.wheel]\nexclude = ["{left_out}"]\n')
        file.write('packages = ["src/broken"]\n')
    before = snapshot(project)
    status, output = build(project)
    assert_refused(project, status, output, before)
    assert (
        f"error: {DECLARED}:1: [orders] {left_out.removeprefix('src/')} is not part of the wheel"
        in output.replace("] src/broken", "] broken")
    )


def test_what_a_killed_refresh_left_in_the_tree_does_not_ship(project: Path) -> None:
    declare(project, "kept-elsewhere")
    for name in (".local_defs_state.new", ".local_defs_state.old"):
        left = project / "src/broken/defs" / name / "orders"
        left.mkdir(parents=True)
        (left / "state").write_text("left", encoding="utf-8")
    status, output = build(project)
    assert status == 0, output
    (wheel,) = (project / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "_state." in name]


def test_the_project_itself_is_never_asked_of_a_package_index() -> None:
    pyproject = {"project": {"name": "Shop"}}
    extras = {"all": ["shop[dbt,API]"], "dbt": ["dbt-core"], "api": ["requests", "shop[all]"]}
    found = writer_requirements(pyproject, ["attrs"], extras, Settings(features=("all",)))
    assert sorted(found) == ["attrs", "dbt-core", "requests"]


def test_state_that_is_kept_elsewhere_is_listed_and_not_bundled(project: Path) -> None:
    declare(project, "kept-elsewhere")
    status, output = build(project)
    assert status == 0, output
    assert "invoices is kept elsewhere (VERSIONED_STATE_STORAGE)" in output
    assert "payments is kept elsewhere (LEGACY_CODE_SERVER_SNAPSHOTS)" in output
    assert "1 state verified in broken-1.0.0-py3-none-any.whl" in output


def test_a_project_without_any_state_backed_component_builds_and_says_so(project: Path) -> None:
    status, output = build(project)
    assert status == 0, output
    assert "defs-state: broken.defs has no component with state to bundle" in output


def test_an_empty_defs_folder_is_refused(project: Path) -> None:
    shutil.rmtree(project / "src/broken/defs")
    (project / "src/broken/defs/orders").mkdir(parents=True)
    status, output = build(project)
    assert status == 1
    assert (
        "defs-state: error: the defs folder src/broken/defs is empty\n"
        "  hint: put a folder with the `defs.yaml` of a component into it"
    ) in output


def test_a_defs_folder_that_the_wheel_leaves_out_is_refused(project: Path) -> None:
    declare(project, "kept-elsewhere")
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('[tool.hatch.build.targets.wheel]\nexclude = ["src/broken/defs"]\n')
        file.write('packages = ["src/broken"]\n')
    before = snapshot(project)
    status, output = build(project)
    assert_refused(project, status, output, before)
    assert (
        "defs-state: error: the defs folder src/broken/defs is not part of the wheel\n"
        "  hint: let [tool.hatch.build.targets.wheel]"
    ) in output


def test_all_wrong_settings_are_reported_at_once(project: Path) -> None:
    declare(project, "kept-elsewhere")
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('jbos = 4\ntimeout = 10\nretries = -1\nexclude = "logs"\n')
    before = snapshot(project)
    status, output = build(project)
    assert_refused(project, status, output, before)
    table = "pyproject.toml: tool.hatch.build.hooks.defs-state"
    assert [line for line in output.splitlines() if line.startswith("defs-state: error: ")] == [
        f"defs-state: error: {table}.jbos: unknown setting; did you mean 'jobs'?",
        (
            f"defs-state: error: {table}.timeout: "
            'expected a duration such as "90s", "10m" or "24h", got 10'
        ),
        f"defs-state: error: {table}.retries: expected a whole number of at least 0, got -1",
        f"defs-state: error: {table}.exclude: expected an array of texts, got 'logs'",
    ]


def test_settings_in_two_tables_are_refused(project: Path) -> None:
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("jobs = 4\n[tool.defs-state]\njobs = 2\n")
    status, output = build(project)
    assert status == 1
    assert (
        "defs-state: error: pyproject.toml: settings are in both "
        "tool.hatch.build.hooks.defs-state and tool.defs-state\n"
        "  hint: keep them in one of the two tables"
    ) in output
