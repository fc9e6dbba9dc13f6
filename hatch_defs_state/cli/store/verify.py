"""`defs-state store verify`: every commit and every object, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.cli.root import fail, json_option
from hatch_defs_state.cli.store.opening import open_store, store_options
from hatch_defs_state.cli.store.wording import print_json
from hatch_defs_state.errors import DamagedObjectError
from hatch_defs_state.reporting.wording import counted, size

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.errors import DefsStateError
    from hatch_defs_state.storage.versioned import StoreReport

DAMAGED = 1


@click.command(name="verify", epilog="Exit status: 0 whole, 1 damaged.")
@click.option("--shallow", is_flag=True, help="Compare sizes only, and read no content.")
@store_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    shallow: bool,
    store_url: str | None,
    project_folder: Path,
    as_json: bool,
) -> None:
    """Check every commit, and every object that one of them needs, against its digest.

    \b
    Examples:
      defs-state store verify
      defs-state store verify --shallow --store s3://bucket/defs-state
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    report = storage.verify(deep=not shallow)
    if as_json:
        print_json({"store": storage.url, "deep": not shallow, **_to_json(report)})
    else:
        _print(report)
    if not report.is_clean:
        ctx.exit(DAMAGED)


def _to_json(report: StoreReport) -> dict[str, Any]:
    return {
        "clean": report.is_clean,
        "commits": report.commits,
        "versions": report.versions,
        "objects": report.objects,
        "size": report.size,
        "problems": [_problem(problem) for problem in report.problems],
        "unreferenced": list(report.unreferenced),
    }


def _problem(problem: DefsStateError) -> dict[str, Any]:
    return {
        "message": problem.message,
        "key": problem.key,
        "version": problem.version if isinstance(problem, DamagedObjectError) else None,
        "object": problem.object_path if isinstance(problem, DamagedObjectError) else None,
    }


def _print(report: StoreReport) -> None:
    for problem in report.problems:
        fail(problem)
    parts = [
        counted(report.commits, "commit"),
        counted(report.versions, "version"),
        f"{counted(report.objects, 'object')} ({size(report.size)})",
    ]
    result = counted(len(report.problems), "problem") if report.problems else "no damage"
    click.echo(f"{', '.join(parts)}: {result}")
    if report.unreferenced:
        click.echo(
            f"{counted(len(report.unreferenced), 'object')} that no commit needs; "
            "`defs-state store gc` removes what nothing else needs"
        )
