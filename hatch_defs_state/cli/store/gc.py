"""`defs-state store gc`: clean-up of old commits and of what nothing needs any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import open_store, store_options
from hatch_defs_state.cli.store.wording import print_json, read_duration_or_zero, span
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.reporting.wording import counted, size
from hatch_defs_state.storage.versioned import Retention, collect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Collection, Unit, VersionedStorage


@click.command(name="gc")
@click.option(
    "--keep-commits",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Keep the newest N commits.",
)
@click.option(
    "--keep-age",
    callback=read_duration_or_zero,
    default="7d",
    show_default=True,
    metavar="TIME",
    help="Keep commits that were current, and objects that were written, within this time.",
)
@click.option(
    "--grace",
    callback=read_duration_or_zero,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Remove only what an earlier clean-up has marked as unneeded, so long ago at least.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--verbose", "-v", is_flag=True, help="List every version and file.")
@click.option(
    "--unknown",
    is_flag=True,
    help="Judge also versions that Dagster's own class has written and nobody took over.",
)
@click.option(
    "--dagster/--no-dagster",
    "ask_dagster",
    default=True,
    help="Whether to keep what the pointer of the Dagster instance in DAGSTER_HOME names.",
)
@store_options
@json_option
def command(
    keep_commits: int,
    keep_age: float,
    grace: float,
    dry_run: bool,
    verbose: bool,
    unknown: bool,
    ask_dagster: bool,
    store_url: str | None,
    project_folder: Path,
    as_json: bool,
) -> None:
    """Forget old commits, mark what nothing needs any more, and remove it in a later run.

    Kept are the newest commits, everything younger than `--keep-age`, and whatever a pin, a lease
    of a code location, or Dagster's own pointer names. It may run at any time, beside pushes, loads
    and other clean-ups, and may be killed: the next one finishes. Run it regularly, as by cron;
    a single run with `--grace 0` marks and removes at once.

    Ages are by the store's clock. Clocks of machines that share a store may differ by 5 minutes.
    What an interrupted upload left in a bucket without becoming an object is removed by the
    bucket's own rules (`AbortIncompleteMultipartUpload`).

    \b
    Examples:
      defs-state store gc --dry-run
      defs-state store gc --keep-commits 50 --keep-age 30d
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    pointer = _pointer() if ask_dagster else None
    if unknown and pointer is None:
        raise click.UsageError(
            "--unknown needs Dagster and its DAGSTER_HOME: versions that nobody took over may be "
            "the current ones there"
        )
    retention = Retention(keep_commits, keep_age, grace)
    found = collect(storage, retention, also=pointer, unknown=unknown, dry_run=dry_run)
    if as_json:
        print_json({"store": storage.url, "dry_run": dry_run, **_to_json(found)})
    else:
        _print(storage, found, retention, dry_run=dry_run, verbose=verbose)


def _pointer() -> Mapping[str, frozenset[str]] | None:
    from hatch_defs_state.dagster.pointer import current_versions

    pointer = current_versions()
    if pointer is None and os.environ.get("DAGSTER_HOME"):
        warning = click.style("warning:", fg="yellow")
        click.echo(
            f"{warning} DAGSTER_HOME is set, but Dagster is not installed here: what its own "
            "pointer names is kept only if a commit or a pin names it too",
            err=True,
        )
    return pointer


def _to_json(found: Collection) -> dict[str, Any]:
    return {
        "oldest": found.oldest,
        "kept": found.kept,
        "forgotten": list(found.forgotten),
        "removed": [_unit(unit) for unit in found.removed],
        "waiting": [_unit(unit) for unit in found.waiting],
        "young": [_unit(unit) for unit in found.young],
        "foreign": [_unit(unit) for unit in found.foreign],
        "leftovers": list(found.leftovers),
        "pins": [pin.name for pin in found.pins],
        "unclear": [error.message for error in found.unclear],
    }


def _unit(unit: Unit) -> dict[str, Any]:
    return {"name": unit.name, "size": unit.size, "objects": list(unit.paths)}


def _print(
    storage: VersionedStorage,
    found: Collection,
    retention: Retention,
    *,
    dry_run: bool,
    verbose: bool,
) -> None:
    would = "would be " if dry_run else ""
    if not found.kept and not found.removed and not found.waiting:
        click.echo(f"there is nothing to clean up in {storage.url}", err=True)
        return
    for error in found.unclear:
        warning = click.style("warning:", fg="yellow")
        click.echo(f"{warning} no shared file is removed: {error}", err=True)
    if verbose:
        rows = [
            (label, unit.name, size(unit.size))
            for label, units in (
                ("removed", found.removed),
                ("waiting", found.waiting),
                ("young", found.young),
                ("foreign", found.foreign),
            )
            for unit in units
        ]
        if rows:
            print_table(("", "VERSION OR FILE", "SIZE"), rows)
    click.echo(_commits(found, would))
    click.echo(f"{_amount(found.removed)} {would}removed")
    if found.waiting:
        click.echo(
            f"{_amount(found.waiting)} {would}marked: a later run removes what is still unneeded "
            f"{span(retention.grace)} after its mark"
        )
    if found.young:
        click.echo(f"{_amount(found.young)} kept: unneeded, but younger than --keep-age")
    if found.foreign:
        click.echo(f"{_amount(found.foreign)} left alone: not known to be ours")
    if found.pins:
        click.echo(f"respected: {', '.join(sorted(pin.name for pin in found.pins))}")


def _commits(found: Collection, would: str) -> str:
    kept = f"{counted(found.kept, 'commit')} kept"
    if found.kept:
        kept += f", from {found.oldest} on"
    if not found.forgotten:
        return kept
    return f"{kept}; {counted(len(found.forgotten), 'commit')} {would}forgotten"


def _amount(units: Sequence[Unit]) -> str:
    """Return how many versions and files these are, and how large."""
    files = sum(unit.is_file for unit in units)
    parts = [
        counted(count, noun)
        for count, noun in ((len(units) - files, "version"), (files, "file"))
        if count
    ]
    total = size(sum(unit.size for unit in units))
    return f"{' and '.join(parts)} ({total})" if parts else "nothing"
