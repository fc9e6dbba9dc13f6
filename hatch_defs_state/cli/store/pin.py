"""`defs-state store pin`: versions that clean-up keeps because a user says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.store.opening import (
    COMMIT_HELP,
    NAMES_COMMIT,
    open_store,
    serial_of,
    store_options,
)
from hatch_defs_state.cli.store.wording import iso, print_json, read_duration, span
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.errors import StorageError
from hatch_defs_state.reporting.wording import counted, one_line
from hatch_defs_state.storage.versioned import read_pins

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.storage.versioned import Pin, VersionedStorage


@click.command(name="pin", epilog=COMMIT_HELP)
@click.argument("name", required=False)
@click.argument("commit", required=False)
@click.option(
    "--ttl", callback=read_duration, metavar="TIME", help="Let the pin end after this time."
)
@click.option("--note", default="", metavar="TEXT", help="What to say about the pin.")
@click.option("--remove", is_flag=True, help="Remove the pin NAME.")
@click.option("--list", "show", is_flag=True, help="List all pins; the same as without NAME.")
@store_options
@json_option
def command(
    name: str | None,
    commit: str | None,
    ttl: float | None,
    note: str,
    remove: bool,
    show: bool,
    store_url: str | None,
    project_folder: Path,
    as_json: bool,
) -> None:
    """Keep the versions of COMMIT (the newest by default) from clean-up, under a NAME.

    A pin lasts until it is removed, unless `--ttl` says how long. Setting it again moves it.
    Leases, which code locations and pushes renew as long as they need them, are listed too.

    \b
    Examples:
      defs-state store pin release-7 12
      defs-state store pin before-migration --ttl 30d
      defs-state store pin --remove release-7
      defs-state store pin --list
    """  # noqa: D301 - click wants the character
    if show and (name or remove):
        raise click.UsageError("--list takes no NAME and no --remove")
    if remove and (commit or ttl is not None or note or name is None):
        raise click.UsageError("--remove takes the NAME of a pin, and nothing else")
    if name is None and (ttl is not None or note):
        raise click.UsageError("--ttl and --note belong to a NAME")
    storage = open_store(store_url, project_folder)
    if name is None:
        _list(storage, as_json=as_json)
    elif remove:
        _remove(storage, name, as_json=as_json)
    else:
        _pin(storage, name, commit or "head", ttl, note, as_json=as_json)


def _pin(
    storage: VersionedStorage,
    name: str,
    commit: str,
    ttl: float | None,
    note: str,
    *,
    as_json: bool,
) -> None:
    if NAMES_COMMIT.fullmatch(name):
        raise click.UsageError(f"{name!r} means a commit: give the pin another name")
    found = _find(storage, name)
    if found is not None:
        _require_users(found)
    serial = serial_of(storage, commit)
    if not serial:
        raise StorageError(f"there is no commit in {storage.url} to pin")
    pinned, lease = storage.pin(serial, name=name, ttl=ttl, note=note)
    if as_json:
        print_json({"store": storage.url, "pin": _to_json(lease.pin, time.time())})
        return
    keys = counted(len(pinned.versions), "key")
    end = "until it is removed" if ttl is None else f"for {span(ttl)}"
    click.echo(f"{name} keeps commit {pinned.serial}, with {keys}, {end}")


def _remove(storage: VersionedStorage, name: str, *, as_json: bool) -> None:
    found = _find(storage, name)
    if found is None:
        known = ", ".join(sorted(pin.name for pin in read_pins(storage.store))) or "none"
        raise StorageError(f"there is no pin {name!r} in {storage.url}", hint=f"it has: {known}")
    _require_users(found)
    storage.store.delete(found.path)
    if as_json:
        print_json({"store": storage.url, "removed": _to_json(found, time.time())})
        return
    click.echo(f"{name} is removed; clean-up may remove what only it kept")


def _list(storage: VersionedStorage, *, as_json: bool) -> None:
    now = time.time()
    pins = sorted(read_pins(storage.store), key=lambda pin: pin.name)
    if as_json:
        print_json({"store": storage.url, "pins": [_to_json(pin, now) for pin in pins]})
        return
    if not pins:
        click.echo(f"there is no pin in {storage.url}", err=True)
        return
    print_table(
        ("NAME", "COMMIT", "KEYS", "ENDS", "NOTE"),
        [
            (
                pin.name,
                "-" if pin.serial is None else str(pin.serial),
                str(len(pin.versions)),
                _end(pin, now),
                one_line(pin.note),
            )
            for pin in pins
        ],
    )


def _find(storage: VersionedStorage, name: str) -> Pin | None:
    return next((pin for pin in read_pins(storage.store) if pin.name == name), None)


def _require_users(pin: Pin) -> None:
    """Refuse to touch what somebody else relies on, and ends by itself."""
    if pin.serial is None and pin.is_live(time.time()):
        raise StorageError(
            f"{pin.name} is the lease of a process, which ends by itself when nobody renews it",
            hint="`defs-state store pin --list` says when; choose another name for a pin",
        )


def _end(pin: Pin, now: float) -> str:
    if pin.expires is None:
        return "never"
    left = pin.expires - now
    return f"in {span(left)}" if left > 0 else f"{span(-left)} ago"


def _to_json(pin: Pin, now: float) -> dict[str, Any]:
    return {
        "name": pin.name,
        "serial": pin.serial,
        "versions": {key: list(versions) for key, versions in pin.versions.items()},
        "expires": iso(pin.expires),
        "live": pin.is_live(now),
        "note": pin.note,
    }
