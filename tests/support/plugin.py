"""The plugin under test, as a requirement of the projects that use it."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import uuid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tests.support.commands import HATCHLING, run_checked

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("pyproject.toml", "README.md", "LICENSE", "hatch_defs_state")


def plugin_requirement(folder: Path) -> str:
    """Copy the plugin's sources below `folder` and return the requirement that names the copy.

    The copy's place is random: installers keep the wheel that they built from a path, and would
    install the one from before the last change.

    Args:
        folder: An existing folder, such as pytest's `tmp_path`.
    """
    copy = folder / f"hatch-defs-state-{uuid.uuid4().hex}"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    return f"hatch-defs-state @ {copy.as_uri()}"


def dependencies() -> list[str]:
    """Return what the plugin depends on."""
    return [
        line
        for line in importlib.metadata.requires("hatch-defs-state") or []
        if "extra ==" not in line
    ]


def plugin_wheel(folder: Path) -> Path:
    """Build the plugin's wheel and return the folder where installers find it by its name.

    Its version is of this call alone: installers keep what they once unpacked by its version.

    Args:
        folder: An existing folder, such as pytest's `tmp_path`.
    """
    copy = Path(url2pathname(urlsplit(plugin_requirement(folder).partition(" @ ")[2]).path))
    file = copy / "pyproject.toml"
    text, replaced = re.subn(
        r'^(version = "[^"+]*)"$',
        rf'\1+test.{uuid.uuid4().hex}"',
        file.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert replaced == 1
    file.write_text(text, encoding="utf-8")
    run_checked([HATCHLING, "build", "-t", "wheel", "-d", str(folder / "wheels")], cwd=copy)
    return folder / "wheels"
