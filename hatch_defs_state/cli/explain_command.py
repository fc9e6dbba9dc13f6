"""`defs-state explain`: why the writer of a key would run, or would not."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.refresh.engine import load
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.refresh.reuse import Staleness, assess
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.reporting.lines import Lines

if TYPE_CHECKING:
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.settings.model import Settings


@click.command(name="explain")
@click.argument("key")
@project_option
@json_option
def command(key: str, project_folder: Path, as_json: bool) -> None:
    """Say why the next `refresh = "reuse"` runs the writer of KEY, or reuses its state.

    \b
    Examples:
      defs-state explain "DbtProjectComponent[shop]"
    """  # noqa: D301 - click wants the character
    project, settings = open_project(project_folder)
    with (
        Workspace.of(project.config) as workspace,
        chosen(project.config, settings, Lines(sys.stderr)) as interpreter,
    ):
        staleness = _assess(project, settings, workspace, interpreter)
    if key not in staleness.keys:
        known = ", ".join(sorted(staleness.keys)) or "none"
        raise ProjectError(f"the project has no state key {key!r}", hint=f"it has: {known}")
    reasons = list(staleness.keys[key])
    if as_json:
        document = {"key": key, "outcome": "run" if reasons else "reused", "reasons": reasons}
        click.echo(json.dumps(document, indent=2))
    elif reasons:
        click.echo("\n  ".join([f"{key} runs:", *reasons]))
    else:
        click.echo(f"{key} is reused: nothing that it depends on has changed")


def _assess(
    project: Project, settings: Settings, workspace: Workspace, interpreter: Interpreter
) -> Staleness:
    """Compare with the last refresh; the project is loaded only if its declarations changed."""
    record = workspace.record()
    staleness = assess(project, settings, record, interpreter=interpreter)
    if not staleness.declared:
        return staleness
    with tempfile.TemporaryDirectory(prefix="defs-state-") as scratch:
        _, plan = load(project, settings, Path(scratch), interpreter)
    declarations = [declaration for _, declaration in plan.run]
    return assess(project, settings, record, declarations, interpreter=interpreter)
