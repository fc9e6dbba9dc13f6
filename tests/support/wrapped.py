"""Projects whose build back end is wrapped by pex, so that our plugin can add to what it makes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from tests.support.commands import base_environment, run
from tests.support.frontends import kept_environment
from tests.support.plugin import ROOT, dependencies
from tests.support.projects import FIXTURES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

PEX: Final = "pex==2.105.2"
BACK_ENDS: Final = {
    "setuptools": ("setuptools==80.9.0", "setuptools.build_meta", ""),
    "poetry-core": (
        "poetry-core==2.2.1",
        "poetry.core.masonry.api",
        '[tool.poetry]\npackages = [{ include = "broken", from = "src" }]\n',
    ),
    "flit-core": ("flit-core==3.12.0", "flit_core.buildapi", ""),
    "uv_build": ("uv_build>=0.9", "uv_build", ""),
}
"""The requirement, the module and the own table of each back end."""


def wrapping_environment() -> Path:
    """Return the interpreter of an environment that has pex, all back ends and a front end."""
    return kept_environment(
        "build>=1.2",
        "installer",
        "pip",
        PEX,
        *(each[0] for each in BACK_ENDS.values()),
        *dependencies(),
    )


def wrapped(name: str, folder: Path, *, extra: str = "", own: str | None = None) -> Path:
    """Make a project, in `folder`, whose back end is wrapped, and return where it is.

    It has one component, whose writer writes its key, and state of an earlier refresh.

    Args:
        name: A key of `BACK_ENDS`.
        folder: An existing folder.
        extra: Text for the end of its `pyproject.toml`.
        own: The table of the back end; as in `BACK_ENDS` by default.
    """
    requirement, module, table = BACK_ENDS[name]
    project = folder / "project"
    package = project / "src" / "broken"
    shutil.copytree(FIXTURES / "failing" / "project" / "src" / "broken", package)
    (package / "defs" / "defs.yaml").write_text("type: broken.writers.Writer\n", encoding="utf-8")
    stale = package / "defs" / ".local_defs_state" / "removed"
    stale.mkdir(parents=True)
    (stale / "state").write_text("stale", encoding="utf-8")
    (project / "pyproject.toml").write_text(
        f"""\
[build-system]
requires = ["{PEX}", "{requirement}", "hatch-defs-state"]
build-backend = "pex.build_backend.wrap"

[tool.pex.build_backend]
delegate-build-backend = "{module}"
plugins = ["hatch_defs_state.pex_plugin"]

[project]
name = "broken"
version = "1.0.0"
description = "A project."
requires-python = ">=3.10"

{table if own is None else own}{extra}""",
        encoding="utf-8",
    )
    return project


def build(
    project: Path, out: Path, *kinds: str, before: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m build` on a project, with what `wrapping_environment` has.

    Args:
        project: The project.
        out: Receives the artifacts.
        kinds: `--sdist` or `--wheel`; without any, a wheel is built from the source archive.
        before: The command that runs the front end, if there is one.
        variables: Variables to add to the environment.
    """
    options = ["--no-isolation", "--skip-dependency-check", "--outdir", str(out)]
    python = wrapping_environment()
    # uv_build looks for its program on the search path.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    environment = {"PYTHONPATH": str(ROOT), "PATH": path}
    return run(
        [*before, python, "-m", "build", *options, *kinds, project],
        env=base_environment() | environment | variables,
    )
