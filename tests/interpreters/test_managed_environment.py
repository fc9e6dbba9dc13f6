"""Environments of our own: made once from what the project says, kept, made anew, removed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from hatch_defs_state.refresh.events import Notice
from hatch_defs_state.refresh.interpreters import wanted as wanted_module
from hatch_defs_state.refresh.interpreters.choice import asked_for
from hatch_defs_state.refresh.interpreters.making import redact
from hatch_defs_state.refresh.interpreters.managed import SEAL, environment, prune, unseal
from hatch_defs_state.refresh.interpreters.wanted import find_uv
from tests.support.commands import CACHE_VARIABLE, base_environment, printed, run, run_checked
from tests.support.frontends import kept_environment
from tests.support.interpreters import other_python
from tests.support.whereabouts import Whereabouts

if TYPE_CHECKING:
    from hatch_defs_state.refresh.events import Event

FROM_METADATA = "making an environment for the writers from the project's metadata with uv"
FROM_LOCK = "making an environment for the writers from uv.lock with uv"
DAY = 86400.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every test have a cache of its own; return where environments are kept in it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def silence(event: Event) -> None:
    pytest.fail(f"nothing is to be reported: {event}")


def test_it_is_made_from_metadata_with_features_and_groups_and_kept(
    tmp_path: Path, cache: Path
) -> None:
    project = Whereabouts.make(
        tmp_path / "project", "iniconfig<2", python="managed", features=("fast",), groups=("state",)
    )
    assert asked_for(project.config, project.settings) == []
    first = project.refresh()
    assert first.errors == []
    (place,) = kept(cache)
    assert first.notices[0] == FROM_METADATA
    assert first.notices[1].startswith("the environment is made in ")
    assert first.where["prefix"] == str(place)
    found = {"iniconfig", "pluggy", "typing-inspection", "typing_extensions"}
    assert first.where["distributions"].keys() == found
    assert first.where["distributions"]["iniconfig"] == "1.1.1"
    assert not (place / "requirements.txt").exists()
    again = project.refresh()
    assert again.notices == []
    assert again.where["prefix"] == str(place)
    assert kept(cache) == [place]


def test_it_is_made_from_the_lock_without_the_project_and_without_development_tools(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in images where uv installs the project itself.
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UV_NO_GROUP", "state")
    project = Whereabouts.make(
        tmp_path / "project", "iniconfig<2", python="managed", groups=("state",)
    )
    project.lock()
    file = project.root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    # What is locked wins over what metadata would give today.
    file.write_text(text.replace("iniconfig<2", "iniconfig"), encoding="utf-8")
    told = project.refresh()
    assert told.errors == []
    assert told.notices[0] == FROM_LOCK
    assert told.where["prefix"] == str(kept(cache)[0])
    found = {"iniconfig", "typing-inspection", "typing_extensions"}
    assert told.where["distributions"].keys() == found
    assert told.where["distributions"]["iniconfig"] == "1.1.1"


def test_a_pylock_is_followed_without_the_project(tmp_path: Path) -> None:
    project = Whereabouts.make(
        tmp_path / "project", "iniconfig<2", python="managed", features=("fast",)
    )
    project.lock()
    export = ["export", "--quiet", "--frozen", "--format", "pylock.toml", "--no-default-groups"]
    run_checked([project.uv, *export, "--extra", "fast", "-o", "pylock.toml"], cwd=project.root)
    (project.root / "uv.lock").unlink()
    told = project.refresh()
    assert told.errors == []
    assert told.notices[0] == "making an environment for the writers from pylock.toml with uv"
    assert told.where["distributions"].keys() == {"iniconfig", "pluggy"}
    assert told.where["distributions"]["iniconfig"] == "1.1.1"


def test_a_member_of_a_workspace_uses_the_lock_of_the_workspace(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    project = Whereabouts.make(root / "packages" / "where", "iniconfig<2", "tools")
    tools = root / "packages" / "tools"
    (tools / "src" / "tools").mkdir(parents=True)
    (tools / "src" / "tools" / "__init__.py").touch()
    project_table = '[project]\nname = "tools"\nversion = "3"\n'
    back_end = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    (tools / "pyproject.toml").write_text(project_table + back_end, encoding="utf-8")
    toml = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    (root / "pyproject.toml").write_text(toml, encoding="utf-8")
    member = project.root / "pyproject.toml"
    sources = "\n[tool.uv.sources]\ntools = { workspace = true }\n"
    member.write_text(member.read_text(encoding="utf-8") + sources, encoding="utf-8")
    project.lock()
    assert (root / "uv.lock").exists()
    told = project.refresh(python="managed")
    assert told.errors == []
    assert told.notices[0] == FROM_LOCK
    assert told.where["distributions"].keys() == {"iniconfig", "tools"}
    (tools / "src" / "tools" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert project.refresh(python="managed").notices == [], "members are editable"
    (root / "pyproject.toml").write_text(f'{toml}exclude = ["packages/where"]\n', encoding="utf-8")
    assert project.wanted().lock is None


def test_our_own_distribution_is_what_runs_not_what_an_index_has(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "hatch-defs-state>=0.1", python="managed")
    told = project.refresh()
    assert told.errors == []
    assert "hatch-defs-state" not in told.where["distributions"]
    assert {"click", "filelock", "packaging", "pyyaml"} <= told.where["distributions"].keys()


def test_all_that_decides_about_the_content_is_in_the_digest(tmp_path: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig")
    plain = project.wanted()
    other = Whereabouts.make(tmp_path / "elsewhere", "iniconfig")
    assert other.wanted().digest == plain.digest, "two checkouts share an environment"
    changed = [
        replace(plain, requirements=("iniconfig<2",)),
        replace(plain, features=("fast",)),
        replace(plain, groups=("state",)),
        replace(plain, project="other"),
        replace(plain, uv=None),
        replace(plain, python=wanted_module.Python(plain.python.request, "another")),
    ]
    project.lock()
    locked = project.wanted()
    digests = [each.digest for each in (plain, *changed, locked)]
    with (project.root / "uv.lock").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    digests.append(project.wanted().digest)
    assert len(set(digests)) == len(digests)


def test_a_folder_that_is_copied_into_it_is_in_the_digest(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    module = library / "module.py"
    module.write_text("x = 1\n", encoding="utf-8")
    project = Whereabouts.make(tmp_path / "project", f"library @ {library.as_uri()}")
    before = project.wanted().digest
    assert project.wanted().digest == before
    module.write_text("x = 11\n", encoding="utf-8")
    assert project.wanted().digest != before


def test_a_broken_one_is_made_anew(tmp_path: Path, cache: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="managed")
    assert project.refresh().errors == []
    (place,) = kept(cache)
    seal = (place / SEAL).read_bytes()
    (place / SEAL).write_bytes(seal[:20])
    assert unseal(place) is None
    (place / SEAL).unlink()
    assert unseal(place) is None
    (place / SEAL).write_bytes(seal)
    assert unseal(place) is not None

    shutil.rmtree(next(place.glob("lib/python*/site-packages/iniconfig-*.dist-info")))
    without_package = project.refresh()
    assert without_package.notices[0] == FROM_METADATA
    assert without_package.where["distributions"].keys() == {"iniconfig"}

    (place / "bin/python").unlink()
    (place / "bin/python").symlink_to(place / "gone")
    without_python = project.refresh()
    assert without_python.notices[0] == FROM_METADATA
    assert without_python.where["prefix"] == str(place)


def test_processes_that_want_the_same_one_make_it_once(tmp_path: Path, cache: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig")
    other = shutil.copytree(project.root, tmp_path / "other")
    command = [sys.executable, "-m", "hatch_defs_state", "refresh", "--python", "managed"]
    variables = base_environment() | {CACHE_VARIABLE: str(cache.parent)}
    processes = [
        subprocess.Popen(command, cwd=root, env=variables, stderr=subprocess.PIPE, text=True)
        for root in (project.root, other)
    ]
    outputs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "".join(outputs).count(FROM_METADATA) == 1
    assert len(kept(cache)) == 1


def test_whoever_has_to_wait_for_another_process_is_told(tmp_path: Path, cache: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="managed")
    assert project.refresh().errors == []
    (place,) = kept(cache)
    (place / SEAL).unlink()
    told: list[str] = []

    def tell(event: Event) -> None:
        assert isinstance(event, Notice)
        told.append(event.text)
        if len(told) == 1:
            lock.release()

    lock = FileLock(cache / f"{place.name}.lock", thread_local=False)
    with lock, environment(project.wanted(), tell) as interpreter:
        assert interpreter.executable == str(place / "bin/python")
    assert told[:2] == [
        "another process makes the environment for the writers; waiting",
        FROM_METADATA,
    ]


def test_one_that_nobody_used_for_a_month_is_removed_unless_somebody_uses_it(
    tmp_path: Path, cache: Path
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="managed")
    assert project.refresh().errors == []
    (place,) = kept(cache)
    now = time.time()
    prune(cache, now + 29 * DAY)
    assert kept(cache) == [place]
    with environment(project.wanted(), silence):
        prune(cache, now + 31 * DAY)
        assert unseal(place) is not None
    os.utime(place / SEAL, (now - 31 * DAY, now - 31 * DAY))
    with environment(project.wanted(), silence):
        pass
    prune(cache)
    assert kept(cache) == [place], "to use one is to keep it"
    os.utime(place / SEAL, (now - 31 * DAY, now - 31 * DAY))
    other = Whereabouts.make(tmp_path / "other", python="managed")
    assert other.refresh().errors == []
    assert place not in kept(cache)
    assert len(kept(cache)) == 1


def test_what_cannot_be_installed_is_an_error_without_secrets(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_INDEX_INTERNAL_PASSWORD", "pa55-of-the-index")
    requirement = "nowhere @ https://someone:hunter2@localhost:9/pa55-of-the-index/nowhere-1.zip"
    project = Whereabouts.make(tmp_path / "project", requirement, python="managed")
    (error,) = project.refresh().errors
    first, second, *_, last = error.splitlines()
    assert re.sub(r"\d", "N", first) == (
        "the environment for the writers cannot be made: uv exited with status N"
    )
    assert second == "  output:"
    assert "nowhere" in error
    assert "hunter2" not in error
    assert "pa55" not in error
    assert last == (
        "  hint: its output says why; or let the setting `python` name an environment that has "
        "what the project depends on"
    )
    assert kept(cache) == []


def test_names_and_passwords_in_urls_are_hidden() -> None:
    text = "GET https://me:p%40ss@host/a@b, git+ssh://git@host/x, https://host/a@b"
    hidden = "GET https://****@host/a@b, git+ssh://****@host/x, https://host/a@b"
    assert redact(text) == hidden


def test_without_uv_pip_makes_it_from_metadata_and_says_so_of_a_lock(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2", python="managed")
    project.lock()
    monkeypatch.setattr(wanted_module, "find_uv", lambda: None)
    told = project.refresh()
    assert told.errors == []
    assert told.notices[:2] == [
        "uv.lock is not used: uv is not on this machine; versions are those of today",
        "making an environment for the writers from the project's metadata with pip",
    ]
    assert told.warnings == told.notices[:1]
    assert told.where["prefix"] == str(kept(cache)[0])
    assert told.where["distributions"]["iniconfig"] == "1.1.1"


def test_without_uv_virtualenv_is_preferred_where_it_is_in_the_path(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = kept_environment("virtualenv").parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(scripts), os.environ["PATH"]]))
    monkeypatch.setattr(wanted_module, "find_uv", lambda: None)
    project = Whereabouts.make(tmp_path / "project", python="managed")
    told = project.refresh()
    assert told.errors == []
    (place,) = kept(cache)
    assert told.where["prefix"] == str(place)
    assert "virtualenv = " in (place / "pyvenv.cfg").read_text(encoding="utf-8")


def test_uv_is_found_by_what_runs_the_build_beside_the_interpreter_and_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, beside, on_path = (tmp_path / name / "uv" for name in ("running", "beside", "path"))
    for file in (running, beside, on_path):
        file.parent.mkdir()
        file.touch(0o755)
    monkeypatch.setenv("UV", str(running))
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setattr(sys, "executable", str(beside.parent / "python"))
    assert find_uv() == str(running)
    running.unlink()
    assert find_uv() == str(beside)
    beside.unlink()
    assert find_uv() == str(on_path)
    on_path.unlink()
    assert find_uv() is None


def test_its_python_is_that_of_the_build_unless_the_project_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="managed")
    own = project.wanted().python
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    assert Path(own.request).resolve() == base.resolve()

    pin = project.root / ".python-version"
    for text in (f"3.{sys.version_info.minor}\n", "3.99\n", "3.9\n", "pypy@3.11\n", "\n"):
        pin.write_text(text, encoding="utf-8")
        assert project.wanted().python == own

    other = other_python()
    monkeypatch.setenv("PATH", os.pathsep.join([str(other.parent), os.environ["PATH"]]))
    version = other.name.removeprefix("python")
    pin.write_text(f"{version}\n", encoding="utf-8")
    told = project.refresh()
    assert told.errors == []
    assert told.where["version"].startswith(f"{version}.")
    assert told.where["distributions"].keys() == {"iniconfig"}


def test_a_python_that_the_project_excludes_is_refused_without_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="managed")
    file = project.root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(">=3.10", ">=3.98"), encoding="utf-8")
    assert project.wanted().python.request == ">=3.98"
    monkeypatch.setattr(wanted_module, "find_uv", lambda: None)
    version = ".".join(map(str, sys.version_info[:3]))
    assert project.refresh().errors == [
        (
            f"the project requires Python >=3.98, and this one is {version}\n"
            "  hint: build with a Python that the project allows; or install uv, which finds or "
            "fetches one"
        )
    ]


def test_the_command_line_makes_and_uses_it(tmp_path: Path, cache: Path) -> None:
    project = Whereabouts.make(tmp_path / "project", "iniconfig<2")
    project.lock()
    variables = base_environment() | {CACHE_VARIABLE: str(cache.parent)}
    command = [sys.executable, "-m", "hatch_defs_state"]
    listed = run([*command, "list", "--json"], cwd=project.root, env=variables)
    assert listed.returncode == 0, printed(listed)
    assert listed.stderr.splitlines()[0] == FROM_LOCK
    assert [each["key"] for each in json.loads(listed.stdout)["components"]] == ["where"]
    refreshed = run([*command, "refresh"], cwd=project.root, env=variables)
    assert refreshed.returncode == 0, printed(refreshed)
    assert refreshed.stderr.splitlines()[0] == "1 writer to run"
    explained = run([*command, "explain", "where"], cwd=project.root, env=variables)
    assert printed(explained) == "where is reused: nothing that it depends on has changed"
