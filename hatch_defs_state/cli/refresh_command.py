"""`defs-state refresh`: renew the state in the project's tree, whole or not at all."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Published
from hatch_defs_state.refresh.interrupt import orderly
from hatch_defs_state.reporting import describe
from hatch_defs_state.storage.publish import publish


@click.command(name="refresh")
@project_option
@json_option
@click.option("--jobs", metavar="N", help="How many writers run at a time.")
@click.option("--timeout", metavar="DURATION", help='How long one writer may run, e.g. "90s".')
@click.option("--retries", metavar="N", help="How often a failed writer is run again.")
def command(
    project_folder: Path,
    as_json: bool,
    jobs: str | None,
    timeout: str | None,
    retries: str | None,
) -> None:
    r"""Run every writer once and replace the project's `.local_defs_state` with what they wrote.

    All or nothing: when a writer fails, what was there before stays as it is.

    \b
    Examples:
      defs-state refresh
      defs-state refresh --project platform --jobs 16 --timeout 2m
    """
    options = {"jobs": jobs, "timeout": timeout, "retries": retries}
    project, settings = open_project(project_folder, options)

    def show(event: Event) -> None:
        line = describe(event)
        if line is not None:
            click.echo(line.text, err=True)

    with orderly(), tempfile.TemporaryDirectory(prefix="defs-state-") as scratch:
        generation = refresh(project, settings, Path(scratch), show)
        publish(generation, project.state_folder)
    place = project.state_folder.relative_to(project.root).as_posix()
    show(Published(place, generation.manifest))
    if as_json:
        click.echo(json.dumps(json.loads(generation.manifest.to_bytes()), indent=2))
