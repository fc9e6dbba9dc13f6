"""The command group, and what all commands have in common."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from hatch_defs_state.errors import DefsStateError, OptionError, flatten, from_os_error
from hatch_defs_state.refresh.interrupt import Interrupted

_COMMANDS = {
    "dev": "Run a command in development, where loading refreshes state.",
    "doctor": "Find what makes builds ship old state, or none.",
    "explain": "Say why the writer of a key runs, or why its state is reused.",
    "list": "Show the state-backed components of a project.",
    "pex": "Build a PEX of projects with their state.",
    "refresh": "Run the writers and renew the project's state.",
    "store": "Show, check and clean up the history of versioned state.",
    "verify": "Check the state in artifacts against their manifests.",
}
CONTEXT = {"help_option_names": ["-h", "--help"]}
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class LazyGroup(click.Group):
    """A group that imports a command when it is called; its help lists them without importing.

    Args:
        lazy: What each command does, by name.
        module: Name of the module whose `command` it is, with `{}` for the command's name.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], module: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy
        self._module = module

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        if cmd_name not in self._lazy:
            return None
        module = importlib.import_module(self._module.format(cmd_name))
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or say which one may be meant."""
        # Click knows names alike since 8.4, and only those of commands that are imported.
        if args[0] not in self._lazy and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], list(self._lazy), n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lazy.items()))


def _show_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"defs-state {importlib.metadata.version('hatch-defs-state')}")
        ctx.exit()


@click.group(
    name="defs-state",
    cls=LazyGroup,
    lazy=_COMMANDS,
    module="hatch_defs_state.cli.{}_command",
    context_settings=CONTEXT,
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 different (store diff).",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def group() -> None:
    """Keep the state of a project's state-backed components, and check what was built with it.

    \b
    Examples:
      defs-state list
      defs-state refresh
      defs-state verify dist/platform-1.0-py3-none-any.whl
    """  # noqa: D301 - click wants the character


def project_option(function: Decorated) -> Decorated:
    """Add the option `--project`."""
    return click.option(
        "--project",
        "project_folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        show_default="the current folder, or one above it",
        help="The project's folder.",
    )(function)


def json_option(function: Decorated) -> Decorated:
    """Add the option `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
    )(function)


def fail(error: DefsStateError) -> None:
    """Print an error as users see it."""
    for each in flatten([error]):
        line = f"{click.style('error:', fg='red', bold=True)} {each}"
        click.echo(line, err=True, color=_has_colour())


def _has_colour() -> bool | None:
    """Tell whether to write colours: as the environment says, else on a terminal (`None`).

    See https://no-color.org and https://force-color.org.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def main() -> None:
    """Run the command line."""
    try:
        status = group(standalone_mode=False, color=_has_colour())
    except DefsStateError as error:
        fail(error)
        status = 2 if any(isinstance(each, OptionError) for each in flatten([error])) else 1
    except OSError as error:
        fail(from_os_error(error))
        status = 1
    except click.exceptions.Abort as abort:
        click.echo("interrupted", err=True)
        cause = abort.__cause__
        status = cause.exit_status if isinstance(cause, Interrupted) else 130
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    sys.exit(status if isinstance(status, int) else 0)
