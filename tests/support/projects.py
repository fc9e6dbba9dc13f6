"""Copies of the fixture projects, and what tests change in and compare of them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
from pathlib import Path
from typing import Final, NamedTuple

FIXTURES: Final = Path(__file__).parents[2] / "fixtures"

# What a checkout may have besides a fixture's files, when someone has worked in it.
LEFTOVERS: Final = shutil.ignore_patterns(
    "__pycache__", ".venv", "dist", "target", ".local_defs_state*", ".dg", "uv.lock"
)

_REQUIRES = re.compile(r"^(\[build-system\]\nrequires = \[)(.*?)(\])$", re.MULTILINE | re.DOTALL)


class FileFacts(NamedTuple):
    """What must not change in a file, or a folder, of a project.

    Attributes:
        mode: Its type and permissions.
        size: Its length; 0 for a folder.
        sha256: Digest of its content, or of the path that a link leads to; empty for a folder.
    """

    mode: int
    size: int
    sha256: str


def copy_project(name: str, folder: Path) -> Path:
    """Copy a fixture project into `folder` and return where it is.

    Args:
        name: Name of a folder in `fixtures`.
        folder: An existing folder, which receives a folder of the same name.
    """
    project = folder / name
    shutil.copytree(FIXTURES / name, project, ignore=LEFTOVERS)
    return project


def with_hook(project: Path, plugin_requirement: str, **settings: object) -> Path:
    """Make `project` use the hook, and return it.

    Args:
        project: A project whose `pyproject.toml` has a `[build-system]` that requires hatchling.
        plugin_requirement: What `plugin_requirement()` returned.
        settings: Settings of the hook, with underscores for the dashes in their names.
    """
    file = project / "pyproject.toml"
    text, replaced = _REQUIRES.subn(
        lambda match: f"{match[1]}{match[2]}, {json.dumps(plugin_requirement)}{match[3]}",
        file.read_text(encoding="utf-8"),
    )
    assert replaced == 1, f"{file} has no 'requires' at the start of its [build-system]"
    table = ["", "[tool.hatch.build.hooks.defs-state]"]
    table += [f"{name.replace('_', '-')} = {toml(value)}" for name, value in settings.items()]
    file.write_text(text.rstrip("\n") + "\n".join(["", *table, ""]), encoding="utf-8")
    return project


def toml(value: object) -> str:
    """Write `value` as TOML on one line."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    assert isinstance(value, (str, int, float)), f"no TOML for {value!r}"
    return json.dumps(value)


def snapshot(folder: Path) -> dict[str, FileFacts]:
    """Describe everything below `folder`, ignored files included, times excluded.

    Returns:
        The facts by path relative to `folder`, so that two snapshots compare with `==`.
    """
    facts = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            size, digest = 0, ""
        else:
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            size, digest = len(content), hashlib.sha256(content).hexdigest()
        facts[path.relative_to(folder).as_posix()] = FileFacts(status.st_mode, size, digest)
    return facts
