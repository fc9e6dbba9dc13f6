"""`defs-state store rollback`: the versions of an older commit, in a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import (
    COMMIT_HELP,
    NAMES_COMMIT,
    open_store,
    serial_of,
    store_options,
)
from hatch_defs_state.cli.store.wording import entry_json, print_json
from hatch_defs_state.errors import CommitNotFoundError
from hatch_defs_state.reporting.wording import counted
from hatch_defs_state.storage.versioned import read_pins

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Pin, VersionedStorage


@click.command(name="rollback", epilog=COMMIT_HELP)
@click.argument("commit", metavar="COMMIT|PIN")
@click.option("--message", "-m", default="", metavar="TEXT", help="What to say about the commit.")
@store_options
@json_option
def command(
    commit: str, message: str, store_url: str | None, project_folder: Path, as_json: bool
) -> None:
    """Make all versions of COMMIT, or of a pin, current again, in a new commit.

    Keys that it does not have are removed. Nothing is taken out of the history, so that a rollback
    can be rolled back. Code locations read the new commit when they are reloaded.

    \b
    Examples:
      defs-state store rollback 12
      defs-state store rollback head~1 --message "Fivetran was half empty"
      defs-state store rollback release-7
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    before = storage.head().serial
    target = _target(storage, commit)
    serial: int | None
    if isinstance(target, int):
        serial, name = target, f"commit {target}"
        new = storage.rollback(target, message)
    else:
        # Its commit may have been forgotten; what the pin names is there.
        serial, name = target.serial, target.name
        versions = {key: names[0] for key, names in target.versions.items()}
        new = storage.restore(versions, message or f"roll back to {name}", rollback_of=serial)
    done = new.serial > before and new.entry.rollback_of == serial
    if as_json:
        document = {
            "store": storage.url,
            "committed": done,
            **entry_json(new.entry),
            "changes": dict(new.entry.changes) if done else {},
        }
        print_json(document)
    elif done:
        changed = counted(len(new.entry.changes), "key")
        click.echo(f"commit {new.serial} rolls back to {name}: {changed} changed")
    else:
        click.echo(f"commit {new.serial} has the versions of {name} already: nothing was changed")


def _target(storage: VersionedStorage, text: str) -> int | Pin:
    """Return the number of the commit, or the pin, that is meant.

    Raises:
        click.UsageError: There is neither.
        CommitNotFoundError: It is what there was before the first commit: nothing at all.
    """
    if not NAMES_COMMIT.fullmatch(text):
        pins = {pin.name: pin for pin in read_pins(storage.store)}
        if text not in pins:
            raise click.UsageError(
                f"{text!r} is neither a pin nor a commit: give a number, `head`, `head~N`, or a "
                "name that `defs-state store pin` lists"
            )
        return pins[text]
    serial = serial_of(storage, text)
    if not serial:
        raise CommitNotFoundError(
            f"there is nothing before the first commit in {storage.url} to roll back to"
        )
    return serial
