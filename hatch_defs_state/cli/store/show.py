"""`defs-state store show`: the versions of a commit, or the files of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import COMMIT_HELP, open_store, serial_of, store_options
from hatch_defs_state.cli.store.wording import entry_json, iso, moment, print_json
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.errors import VersionNotFoundError
from hatch_defs_state.reporting.wording import counted, one_line, size
from hatch_defs_state.storage.versioned import is_marker

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Commit, VersionedStorage


@click.command(name="show", epilog=COMMIT_HELP)
@click.argument("commit", default="head")
@click.argument("key", required=False)
@store_options
@json_option
def command(
    commit: str, key: str | None, store_url: str | None, project_folder: Path, as_json: bool
) -> None:
    """Show the version of every key at COMMIT (the newest by default), or the files of KEY's.

    \b
    Examples:
      defs-state store show
      defs-state store show 12
      defs-state store show head "DbtProjectComponent[shop]"
    """  # noqa: D301 - click wants the character
    storage = open_store(store_url, project_folder)
    found = storage.commit(serial_of(storage, commit))
    if key is None:
        _show_commit(storage, found, as_json=as_json)
    else:
        _show_version(storage, found, key, as_json=as_json)


def _show_commit(storage: VersionedStorage, commit: Commit, *, as_json: bool) -> None:
    versions = sorted(commit.versions.items())
    if as_json:
        rows = {key: {"version": v.version, "since": iso(v.since)} for key, v in versions}
        print_json({"store": storage.url, **entry_json(commit.entry), "versions": rows})
        return
    if not commit.serial:
        click.echo(f"there is no commit in {storage.url}", err=True)
        return
    message = f": {one_line(commit.message)}" if commit.message else ""
    click.echo(f"commit {commit.serial}, {moment(commit.at)}{message}")
    rolled = commit.entry.rollback_of
    if rolled is not None:
        click.echo(f"rolls back to commit {rolled}")
    if versions:
        print_table(
            ("KEY", "VERSION", "CURRENT SINCE"),
            [(one_line(key), v.version, moment(v.since)) for key, v in versions],
        )


def _show_version(storage: VersionedStorage, commit: Commit, key: str, *, as_json: bool) -> None:
    current = commit.versions.get(key)
    if current is None:
        known = ", ".join(sorted(commit.versions)) or "none"
        raise VersionNotFoundError(
            f"commit {commit.serial} has no key {key!r}", hint=f"it has: {known}"
        )
    version = current.version
    files = {} if is_marker(version) else storage.describe(key, version).files
    total = sum(entry.size for entry in files.values())
    if as_json:
        document = {
            "store": storage.url,
            "serial": commit.serial,
            "key": key,
            "version": version,
            "since": iso(current.since),
            "size": total,
            "files": {path: {"size": e.size, "sha256": e.sha256} for path, e in files.items()},
        }
        print_json(document)
        return
    count = f"{counted(len(files), 'file')}, {size(total)}" if files else "its state is elsewhere"
    click.echo(f"{one_line(key)} at commit {commit.serial}: version {version}, {count}")
    if files:
        print_table(
            ("FILE", "SIZE", "SHA256"),
            [(one_line(path), size(e.size), e.sha256) for path, e in files.items()],
        )
