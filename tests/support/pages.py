"""The pages in `docs`: what their code blocks say, and running it as a shell would."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.commands import base_environment, find_uv, printed, run
from tests.support.plugin import ROOT
from tests.support.projects import copy_project

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS: Final = ROOT / "docs"
SECRET: Final = "WAREHOUSE_DATABASE"
STATE: Final = "src/warehouse/defs/.local_defs_state"

_BLOCK = re.compile(r"^```(\w*) ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: What it is written in.
        name: The file that it is, or what the page calls it; may be empty.
        text: Its content.
    """

    language: str
    name: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return the code blocks of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(*match.groups()) for match in _BLOCK.finditer(text)]


def block(page: str, name: str) -> str:
    """Return the content of the block with a name."""
    (found,) = (each.text for each in blocks(page) if each.name == name)
    return found


def warehouse(folder: Path) -> Path:
    """Copy the project that the pages are about into `folder`: its writer needs the secret."""
    project = copy_project("quickstart", folder)
    declaration = project / "src/warehouse/defs/catalog/defs.yaml"
    text = declaration.read_text(encoding="utf-8")
    changed = text.replace("{{ project_root }}/data/warehouse.sqlite", f"{{{{ env.{SECRET} }}}}")
    assert changed != text
    declaration.write_text(changed, encoding="utf-8")
    (project / "data").rename(folder / "data")
    return project


def secret(project: Path) -> dict[str, str]:
    """Return the variable that the writer of the project needs."""
    return {SECRET: str(project.parent / "data" / "warehouse.sqlite")}


def write(page: str, project: Path, *names: str) -> None:
    """Put files of a page into a project."""
    for name in names:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block(page, name), encoding="utf-8")


def shell(
    script: str, cwd: Path, wheels: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Run a script as continuous integration does, and return what it printed.

    Args:
        script: What to run.
        cwd: Where.
        wheels: Where installers find the plugin under test.
        environment: Variables to add.

    Raises:
        AssertionError: If it fails, with all that it printed.
    """
    uv = find_uv()
    programs = [str(Path(sys.executable).parent), *([str(Path(uv).parent)] if uv else [])]
    variables = base_environment()
    variables |= {
        "PATH": os.pathsep.join([*programs, variables.get("PATH", os.defpath)]),
        "PIP_FIND_LINKS": f"{variables.get('PIP_FIND_LINKS', '')} {wheels}".strip(),
        "UV_FIND_LINKS": str(wheels),
        "UV_PYTHON": sys.executable,
        **(environment or {}),
    }
    result = run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=cwd, env=variables)
    assert result.returncode == 0, f"{shlex.quote(script)}:\n{printed(result)}"
    return printed(result)
