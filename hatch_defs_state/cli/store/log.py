"""`defs-state store log`: the commits, the newest first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import open_store, store_options
from hatch_defs_state.cli.store.wording import entry_json, moment, print_json
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.reporting.wording import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.versioned import LogEntry


@click.command(name="log")
@click.option(
    "--number", "-n", type=click.IntRange(1), metavar="N", help="Show the newest N commits only."
)
@store_options
@json_option
def command(number: int | None, store_url: str | None, project_folder: Path, as_json: bool) -> None:
    """List the commits, the newest first, down to the oldest that clean-up has kept.

    \b
    Examples:
      defs-state store log
      defs-state store log -n 5 --store s3://bucket/defs-state --json
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    entries = list(islice(storage.log(), number))
    if as_json:
        commits = [{**entry_json(entry), "changes": dict(entry.changes)} for entry in entries]
        print_json({"store": storage.url, "commits": commits})
        return
    if not entries:
        click.echo(f"there is no commit in {storage.url}", err=True)
        return
    print_table(
        ("COMMIT", "TIME", "CHANGED KEYS", "MESSAGE"),
        [
            (str(entry.serial), moment(entry.at), str(len(entry.changes)), _message(entry))
            for entry in entries
        ],
    )


def _message(entry: LogEntry) -> str:
    message = one_line(entry.message)
    if entry.rollback_of is None or message == f"roll back to {entry.rollback_of}":
        return message
    return f"{message} (rolls back to {entry.rollback_of})"
