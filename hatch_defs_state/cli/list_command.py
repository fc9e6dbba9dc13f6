"""`defs-state list`: the components of a project, without running a writer."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import click

from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.refresh.engine import load
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.reporting.lines import Lines


@click.command(name="list")
@project_option
@json_option
def command(project_folder: Path, as_json: bool) -> None:
    """Show the state-backed components of a project: key, type, where their state is kept.

    \b
    Examples:
      defs-state list
      defs-state list --project platform --json
    """  # noqa: D301 - click wants the character
    project, settings = open_project(project_folder)
    with (
        tempfile.TemporaryDirectory(prefix="defs-state-") as scratch,
        chosen(project.config, settings, Lines(sys.stderr)) as interpreter,
    ):
        loaded, plan = load(project, settings, Path(scratch), interpreter)
    declarations = sorted(
        [*(declaration for _, declaration in plan.run), *plan.elsewhere],
        key=lambda declaration: declaration.key,
    )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "project": project.config.name,
                    "defs_module": project.defs_module,
                    "components": [declaration.to_json() for declaration in declarations],
                    "warnings": loaded.warnings,
                },
                indent=2,
            )
        )
        return
    for warning in loaded.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
    if not declarations:
        click.echo(f"{project.defs_module} has no state-backed component", err=True)
        return
    print_table(
        ("KEY", "TYPE", "MANAGEMENT TYPE", "DECLARED IN"),
        [(d.key, d.component_type, d.management_type.value, str(d.location)) for d in declarations],
    )
