"""`defs-state refresh`: renew the state in the project's tree, whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.executors import open_executor
from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.options import settings_options
from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Published
from hatch_defs_state.refresh.interrupt import orderly
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.reporting import describe
from hatch_defs_state.storage.publish import publish

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="refresh")
@project_option
@json_option
@click.option(
    "--executor",
    "executor_name",
    metavar="NAME",
    help="Where writers run: `dask:` and the address of a scheduler; this machine by default.",
)
@settings_options
def command(
    project_folder: Path, as_json: bool, executor_name: str | None, **options: str | None
) -> None:
    r"""Run the writers and replace the project's `.local_defs_state` with what they wrote.

    All or nothing: when a writer fails, what was there before stays as it is.

    \b
    Examples:
      defs-state refresh
      defs-state refresh --refresh reuse
      defs-state refresh --project platform --jobs 16 --timeout 2m
      defs-state refresh --executor dask:tcp://scheduler:8786
    """
    project, settings = open_project(project_folder, options)

    def show(event: Event) -> None:
        line = describe(event)
        if line is not None:
            click.echo(line.text, err=True)

    with (
        orderly(),
        open_executor(executor_name) as executor,
        Workspace.of(project.config) as workspace,
    ):
        generation = refresh(project, settings, workspace, show, executor)
        publish(generation, project.state_folder)
    place = project.state_folder.relative_to(project.root).as_posix()
    show(Published(place, generation.manifest))
    if as_json:
        click.echo(json.dumps(json.loads(generation.manifest.to_bytes()), indent=2))
