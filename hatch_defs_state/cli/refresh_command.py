"""`defs-state refresh`: renew the state in the project's tree, whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.executors import open_executor
from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.options import settings_options
from hatch_defs_state.cli.output_folder import OutputFolder
from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.cli.versioned_refresh import Reload, commit_versioned, versioned_options
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.refresh.engine import refresh
from hatch_defs_state.refresh.events import Event, Planned, Published, Report
from hatch_defs_state.refresh.interrupt import orderly
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.reporting.base import Broadcast
from hatch_defs_state.reporting.choose import reporter
from hatch_defs_state.reporting.document import Document
from hatch_defs_state.reporting.github import annotate
from hatch_defs_state.reporting.schema import RESPONSE_SCHEMA
from hatch_defs_state.storage.publish import publish, recover

if TYPE_CHECKING:
    from hatch_defs_state.errors import SourceLocation
    from hatch_defs_state.project import Project
    from hatch_defs_state.reporting.choose import Mode
    from hatch_defs_state.settings.model import Settings


def _show_schema(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        click.echo(json.dumps(RESPONSE_SCHEMA, indent=2))
        ctx.exit()


@click.command(name="refresh")
@project_option
@json_option
@click.option(
    "--response-schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_schema,
    help="Print the JSON schema of what `--json` prints, and exit.",
)
@click.option("--quiet", "-q", "mode", flag_value="quiet", help="Show problems only.")
@click.option("--verbose", "-v", "mode", flag_value="verbose", help="Show what writers print.")
@click.option(
    "--executor",
    "executor_name",
    metavar="NAME",
    help="Where writers run: `dask:` and the address of a scheduler; this machine by default.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the state into this folder, and leave the project's own as it is.",
)
@versioned_options
@settings_options
def command(
    project_folder: Path,
    as_json: bool,
    mode: Mode | None,
    executor_name: str | None,
    output: Path | None,
    kind: str,
    reload_url: str | None,
    location: str | None,
    **options: str | None,
) -> None:
    """Run the writers and replace the project's `.local_defs_state` with what they wrote.

    All or nothing: when a writer fails, what was there before stays as it is.

    With --output, the state goes to DIR, relative to the current folder, and nothing in the project
    changes. DIR is then what `<package>/defs/.local_defs_state` would be; copy it there as a whole.
    It has to be absent, empty, or the DIR of an earlier refresh. Together with --refresh frozen, no
    writer runs, and DIR receives a verified copy of the project's state.

    With --management-type VERSIONED_STATE_STORAGE, the state goes to the store that --store,
    DEFS_STATE_STORE or the dagster.yaml in DAGSTER_HOME names, and becomes current in one commit.
    Code locations use it when they are reloaded: --reload and --location do that at the end.

    \b
    Examples:
      defs-state refresh
      defs-state refresh --refresh reuse
      defs-state refresh --project platform --jobs 16 --timeout 2m
      defs-state refresh --executor dask:tcp://scheduler:8786
      defs-state refresh --output state
      defs-state refresh --refresh frozen --output state
      defs-state refresh --management-type VERSIONED_STATE_STORAGE --store s3://bucket/state
      defs-state refresh --management-type VERSIONED_STATE_STORAGE \\
        --reload http://dagster:3000 --location platform
    """  # noqa: D301 - click wants the character
    reload = Reload.of(reload_url, location)
    is_versioned = ManagementType(kind) is ManagementType.VERSIONED_STATE_STORAGE
    if is_versioned and output is not None:
        raise click.UsageError("--output is for local state: versioned state goes to the store")
    try:
        project, settings = open_project(project_folder, options)
    except DefsStateError as error:
        if os.environ.get("GITHUB_ACTIONS") == "true":
            click.echo("\n".join(annotate(error, root=project_folder)), err=True)
        raise
    target = None if output is None else OutputFolder.of(output, project)
    locations: dict[str, SourceLocation] = {}
    document = Document(locations)
    watch = reporter(
        sys.stderr, mode=mode or "auto", jobs=settings.jobs, locations=locations, root=project.root
    )

    def report(event: Event) -> None:
        if isinstance(event, Planned):
            locations.update(event.locations)
        everybody(event)

    everybody = Broadcast(watch, document)
    try:
        with everybody:
            if is_versioned:
                commit_versioned(project, settings, report, executor_name)
            else:
                _refresh(project, settings, report, executor_name, target)
            if reload is not None:
                reload.run(report)
    finally:
        if as_json:
            click.echo(json.dumps(document.to_json(), indent=2))


def _refresh(
    project: Project,
    settings: Settings,
    report: Report,
    executor_name: str | None,
    output: OutputFolder | None,
) -> None:
    with (
        orderly(),
        open_executor(executor_name) as executor,
        Workspace.of(project.config) as workspace,
    ):
        if output is not None:
            output.prepare()
        elif settings.refresh != "frozen":
            recover(project.state_folder)
        try:
            generation = refresh(project, settings, workspace, report, executor)
        except KeyboardInterrupt:
            click.echo("nothing was changed", err=True)
            raise
        target = project.state_folder if output is None else output.path
        publish(generation, target)
        inside = target.is_relative_to(project.root)
        place = target.relative_to(project.root).as_posix() if inside else str(target)
        report(Published(place, generation.manifest))
