"""Locks: which one a project has, what it has, and where it differs from what wrote state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.refresh.interpreters.interpreter import Interpreter, current
from hatch_defs_state.refresh.interpreters.locks import find_lock
from tests.support.whereabouts import Whereabouts

if TYPE_CHECKING:
    from pathlib import Path

SHA = "5d7b1ac7b0b0c0f2b6a6d4d1d1b0a1f4b9d5c3c1f0e9d8c7b6a5948372615040"
PYLOCK = f"""\
lock-version = "1.0"
created-by = "hand"
extras = ["fast"]
dependency-groups = ["state"]

[[packages]]
name = "where"
directory = {{ path = "." }}

[[packages]]
name = "plain"
version = "1.5"
index = "https://index.example/simple"
wheels = [
  {{ url = "https://index.example/plain-1.5-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }},
]

[[packages]]
name = "of-the-feature"
version = "2"
marker = "'fast' in extras"
index = "https://index.example/simple"
sdist = {{ url = "https://index.example/of_the_feature-2.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}

[[packages]]
name = "of-the-group"
version = "3"
marker = "'state' in dependency_groups"
archive = {{ url = "https://files.example/of_the_group-3.zip", hashes = {{ sha256 = "{SHA}" }} }}

[[packages]]
name = "for-3-12"
version = "4"
marker = "python_version == '3.12'"
index = "https://index.example/simple"
wheels = [
  {{ url = "https://i.example/for_3_12-4-cp312-cp312-win32.whl", hashes = {{ sha256 = "{SHA}" }} }},
  {{ url = "https://i.example/for_3_12-4-py312-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }},
]
"""


def with_pylock(folder: Path, text: str, **settings: object) -> Whereabouts:
    project = Whereabouts.make(folder, python="managed", **settings)
    (project.root / "pylock.toml").write_text(text, encoding="utf-8")
    return project


def lines(project: Whereabouts, interpreter: Interpreter | None = None) -> list[str]:
    found, options = project.wanted().lines(interpreter or current())
    assert options == ["--no-deps"]
    return found


def test_a_pylock_becomes_requirements_with_hashes(tmp_path: Path) -> None:
    hashed = f"--hash=sha256:{SHA}"
    plain = with_pylock(tmp_path / "plain", PYLOCK)
    assert lines(plain, Interpreter("python", "3.11.7", ())) == [f"plain==1.5 {hashed}"]
    assert lines(plain, Interpreter("python", "3.12.1", ())) == [
        f"plain==1.5 {hashed}",
        f"for-3-12==4 {hashed}",
    ]
    more = with_pylock(tmp_path / "more", PYLOCK, features=("fast",), groups=("state",))
    assert lines(more, Interpreter("python", "3.11.7", ())) == [
        f"plain==1.5 {hashed}",
        f"of-the-feature==2 {hashed}",
        f"of-the-group @ https://files.example/of_the_group-3.zip {hashed}",
    ]


def test_what_has_no_hash_makes_the_others_go_without(tmp_path: Path) -> None:
    folders = """
[[packages]]
name = "library"
directory = { path = "../library" }

[[packages]]
name = "repository"
vcs = { type = "git", url = "https://git.example/r", commit-id = "abc123" }
"""
    project = with_pylock(tmp_path / "project", PYLOCK + folders)
    assert lines(project, Interpreter("python", "3.11.7", ())) == [
        "plain==1.5",
        f"--editable {(project.root / '../library').as_posix()}",
        "repository @ git+https://git.example/r@abc123",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "pylock.toml: not valid TOML: "),
        ('created-by = "hand"', "pylock.toml cannot be used: "),
        (
            PYLOCK.replace("marker = \"'fast' in extras\"", 'requires-python = ">=3.99"'),
            "pylock.toml cannot be used: ",
        ),
    ],
    ids=["no TOML", "no lock", "another Python"],
)
def test_a_pylock_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    project = with_pylock(tmp_path / "project", text)
    with pytest.raises(DefsStateError) as caught:
        lines(project)
    assert str(caught.value).startswith(message)


def test_the_lock_of_uv_comes_before_a_pylock_and_that_of_the_project_before_others(
    tmp_path: Path,
) -> None:
    project = Whereabouts.make(tmp_path / "project")
    assert find_lock(project.config) is None
    (tmp_path / "uv.lock").touch()
    assert find_lock(project.config) is None, "the folder above is no workspace"
    toml = '[tool.uv.workspace]\nmembers = ["proj*"]\n'
    (tmp_path / "pyproject.toml").write_text(toml, encoding="utf-8")
    for place in (tmp_path / "uv.lock", project.root / "pylock.toml", project.root / "uv.lock"):
        place.touch()
        lock = find_lock(project.config)
        assert lock is not None
        assert lock.path == place


UV_LOCK = """\
version = 1
requires-python = ">=3.10"

[[package]]
name = "iniconfig"
version = "{version}"
source = {{ registry = "https://packages.example/simple" }}
"""


@pytest.mark.parametrize("refresh", ["always", "reuse"])
def test_versions_that_differ_from_the_lock_are_a_warning_that_names_both(
    tmp_path: Path, refresh: str
) -> None:
    from importlib.metadata import version

    project = Whereabouts.make(tmp_path / "project", "iniconfig", python="build", refresh=refresh)
    lock = project.root / "uv.lock"
    installed = version("iniconfig")
    lock.write_text(UV_LOCK.format(version=installed), encoding="utf-8")
    assert project.refresh().warnings == []
    lock.write_text(UV_LOCK.format(version="1.0.1"), encoding="utf-8")
    told = project.refresh()
    assert told.ran == (refresh == "always")
    assert told.warnings == [f"iniconfig {installed} wrote the state, uv.lock has 1.0.1"]
    # One version for each of several markers, in a form that uv does not write.
    both = 'package = [\n{ name = "iniconfig", version = "1.0.1" },\n'
    lock.write_text(both + '{ name = "iniconfig", version = "1.0.2" }]', encoding="utf-8")
    assert project.refresh().warnings == [
        f"iniconfig {installed} wrote the state, uv.lock has 1.0.1 and 1.0.2"
    ]
    lock.unlink()
    (project.root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "hand"\n'
        '[[packages]]\nname = "iniconfig"\nversion = "1.1"\n',
        encoding="utf-8",
    )
    assert project.refresh().warnings == [
        f"iniconfig {installed} wrote the state, pylock.toml has 1.1"
    ]
