"""`defs-state verify`: the state in artifacts, checked against the manifests in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.artifacts.kinds import verify
from hatch_defs_state.cli.root import json_option
from hatch_defs_state.cli.table import print_table
from hatch_defs_state.errors import DefsStateError, raise_all
from hatch_defs_state.reporting.wording import counted, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hatch_defs_state.artifacts.verify import VerifiedState
    from hatch_defs_state.storage.manifest import Manifest


@click.command(name="verify")
@click.argument(
    "artifacts", metavar="ARTIFACT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@json_option
def command(artifacts: tuple[Path, ...], as_json: bool) -> None:
    """Check every file of state in each ARTIFACT, and show what it carries.

    ARTIFACT is a wheel, a source archive, a PEX of any layout, or a state folder. With --json, the
    manifest is printed; of several artifacts, or of a PEX with several projects, an object with
    all of them in `states`.

    \b
    Examples:
      defs-state verify dist/platform-1.0-py3-none-any.whl
      defs-state verify dist/*
      defs-state verify app.pex
      defs-state verify src/platform/defs/.local_defs_state
    """  # noqa: D301 - click wants the character
    states: list[tuple[Path, VerifiedState]] = []
    errors: list[DefsStateError] = []
    for artifact in artifacts:
        try:
            found = verify(artifact).states
        except DefsStateError as error:
            errors.append(error)
            continue
        states.extend((artifact, state) for state in found)
        if not as_json:
            _show(artifact, found)
    raise_all(errors)
    if as_json:
        click.echo(json.dumps(_document(states), indent=2))


def _show(artifact: Path, states: Sequence[VerifiedState]) -> None:
    for state in states:
        manifest = state.manifest
        where = f" in {state.folder}" if len(states) > 1 else ""
        _print_keys(manifest)
        count = counted(manifest.carried, "state")
        click.echo(f"{artifact.name}: {count} verified{where}, digest {manifest.digest[:12]}")


def _document(states: Sequence[tuple[Path, VerifiedState]]) -> Any:
    documents = [
        {
            "artifact": artifact.name,
            "folder": state.folder,
            "manifest": json.loads(state.manifest.to_bytes()),
        }
        for artifact, state in states
    ]
    if len(documents) == 1:
        return documents[0]["manifest"]
    return {"schema": 1, "states": documents}


def _print_keys(manifest: Manifest) -> None:
    if not manifest.keys:
        return
    columns = {
        "KEY": list(manifest.keys),
        "FILES": [str(len(entry.files)) for entry in manifest.keys.values()],
        "SIZE": [size(entry.size) for entry in manifest.keys.values()],
        "WRITTEN AT": [entry.written_at or "" for entry in manifest.keys.values()],
        "DECLARED IN": [str(entry.source) for entry in manifest.keys.values()],
    }
    # What has to have the same bytes whenever it is built has no dates.
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    print_table(tuple(shown), list(zip(*shown.values(), strict=True)))
