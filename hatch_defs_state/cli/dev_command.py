"""`defs-state dev`: run a command in development, where loading refreshes state."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from hatch_defs_state import project as projects
from hatch_defs_state.cli.root import project_option
from hatch_defs_state.errors import ProjectError
from hatch_defs_state.settings.layers import DEV_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_OF_DAGSTER = ("dg", "dev")


@click.command(name="dev", context_settings={"ignore_unknown_options": True})
@project_option
@click.argument("command_line", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND]...")
def command(project_folder: Path, command_line: tuple[str, ...]) -> None:
    """Run COMMAND with DEFS_STATE_DEV=1, in the project's folder.

    Code locations that it loads refresh the state of components with `refresh_if_dev` first; the
    exit status is that of the command. In a Dagster project it is `dg dev`, unless another one is
    given.

    \b
    Examples:
      defs-state dev -- python -m shop
      defs-state dev
    """  # noqa: D301 - click wants the character
    config = projects.discover(project_folder)
    arguments = command_line or (_OF_DAGSTER if config.dg is not None else ())
    if not arguments:
        raise click.UsageError("say what to run: `defs-state dev -- python -m shop`")
    program = shutil.which(arguments[0])
    if program is None:
        raise ProjectError(
            f"there is no program {arguments[0]!r}",
            hint="run the command in the project's environment",
        )
    _run(program, arguments, config.root)


def _run(program: str, arguments: Sequence[str], folder: Path) -> None:
    variables = {**os.environ, DEV_VARIABLE: "1"}
    if os.name != "nt":
        # The command takes the place of this process, and so gets its signals.
        os.chdir(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(program, list(arguments), variables)  # noqa: S606 - no shell, on purpose
    sys.exit(subprocess.call([program, *arguments[1:]], cwd=folder, env=variables))
