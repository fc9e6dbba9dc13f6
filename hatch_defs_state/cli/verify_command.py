"""`defs-state verify`: the state in a wheel, checked against its manifest."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.reporting.wording import counted, size


@click.command(name="verify")
@click.argument("wheel", type=click.Path(path_type=Path))
@json_option
def command(wheel: Path, as_json: bool) -> None:
    """Check every file of state in WHEEL, and show what it carries.

    \b
    Examples:
      defs-state verify dist/platform-1.0-py3-none-any.whl
    """  # noqa: D301 - click wants the character
    verified = verify_wheel(wheel)
    manifest = verified.manifest
    if as_json:
        click.echo(json.dumps(json.loads(manifest.to_bytes()), indent=2))
        return
    if manifest.keys:
        print_table(
            ("KEY", "FILES", "SIZE", "WRITTEN AT", "DECLARED IN"),
            [
                (key, str(len(e.files)), size(e.size), e.written_at or "", str(e.source))
                for key, e in manifest.keys.items()
            ],
        )
    count = counted(len(manifest.keys), "state")
    click.echo(f"{wheel.name}: {count} verified, digest {manifest.digest[:12]}")
