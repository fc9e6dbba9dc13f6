"""`defs-state store diff`: what differs between two commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import COMMIT_HELP, open_store, serial_of, store_options
from hatch_defs_state.cli.store.wording import print_json, short
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.reporting.wording import counted, one_line, size

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Change, FileChange, VersionedStorage

DIFFERENT = 3


@click.command(name="diff", epilog=f"{COMMIT_HELP} Exit status: 0 equal, 3 different.")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", default="head")
@click.option("--verbose", "-v", is_flag=True, help="Show which files of a key differ.")
@store_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    old: str,
    new: str,
    verbose: bool,
    store_url: str | None,
    project_folder: Path,
    as_json: bool,
) -> None:
    """Show the keys whose versions differ between the commits OLD and NEW (the newest by default).

    \b
    Examples:
      defs-state store diff head~1
      defs-state store diff 12 15 --verbose
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    numbers = serial_of(storage, old), serial_of(storage, new)
    changes = storage.diff(*numbers)
    if as_json:
        document = {
            "store": storage.url,
            "old": numbers[0],
            "new": numbers[1],
            "changes": [_to_json(storage, change) for change in changes],
        }
        print_json(document)
    else:
        _print(storage, changes, numbers, verbose=verbose)
    if changes:
        ctx.exit(DIFFERENT)


def _to_json(storage: VersionedStorage, change: Change) -> dict[str, Any]:
    files = [
        {
            "path": file.path,
            "change": file.kind,
            "old_size": file.old_size,
            "new_size": file.new_size,
        }
        for file in storage.compare_files(change)
    ]
    return {
        "key": change.key,
        "change": change.kind,
        "old": change.old,
        "new": change.new,
        "files": files,
    }


def _print(
    storage: VersionedStorage,
    changes: tuple[Change, ...],
    numbers: tuple[int, int],
    *,
    verbose: bool,
) -> None:
    between = f"between commit {numbers[0]} and commit {numbers[1]}"
    if not changes:
        click.echo(f"nothing differs {between}")
        return
    if verbose:
        rows = [
            (one_line(change.key), one_line(file.path), file.kind, *_sizes(file))
            for change in changes
            for file in storage.compare_files(change)
        ]
        print_table(("KEY", "FILE", "CHANGE", "OLD SIZE", "NEW SIZE"), rows)
    else:
        print_table(
            ("KEY", "CHANGE", "OLD", "NEW"),
            [(one_line(c.key), c.kind, short(c.old), short(c.new)) for c in changes],
        )
    verb = "differs" if len(changes) == 1 else "differ"
    click.echo(f"{counted(len(changes), 'key')} {verb} {between}")


def _sizes(file: FileChange) -> tuple[str, str]:
    old, new = ("-" if value is None else size(value) for value in (file.old_size, file.new_size))
    return old, new
