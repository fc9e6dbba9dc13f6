"""`defs-state pex`: a PEX of projects with their state, which does not boot without it."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hatch_defs_state.cli.opened import open_project
from hatch_defs_state.cli.root import json_option
from hatch_defs_state.dagster.home import configured_store
from hatch_defs_state.packing.packer import PROPERTY, Packer
from hatch_defs_state.packing.tools import Log
from hatch_defs_state.refresh.interrupt import orderly
from hatch_defs_state.reporting.choose import reporter
from hatch_defs_state.reporting.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_defs_state.packing.packer import Packed
    from hatch_defs_state.packing.parts import Part
    from hatch_defs_state.reporting.choose import Mode

_PROJECTS = f"{__name__}.projects"
"""Where a context has how many of the arguments are projects."""


class _Passing(click.Command):
    """A command that takes its own options from among those of another program.

    Click would look for ours in the letters of a short option that it does not know.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort the arguments: ours first, then projects, then what is for pex, in its order."""
        flags: set[str] = set(ctx.help_option_names)
        valued: set[str] = set()
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                (flags if parameter.is_flag else valued).update(parameter.opts)
        own: list[str] = []
        projects: list[str] = []
        others: list[str] = []
        rest = list(reversed(args))
        while rest:
            token = rest.pop()
            if token == "--":  # noqa: S105 - it ends our options
                others.extend(reversed(rest))
                break
            if token in flags or token.partition("=")[0] in valued:
                own.append(token)
                if token in valued and rest:
                    own.append(rest.pop())
            elif others or token.startswith("-"):
                others.append(token)
            else:
                projects.append(token)
        ctx.meta[_PROJECTS] = len(projects)
        return super().parse_args(ctx, [*own, "--", *projects, *others])


@click.command(name="pex", cls=_Passing, options_metavar="", add_help_option=True)
@click.argument("arguments", nargs=-1, metavar="PROJECT... -o OUTPUT [PEX OPTIONS]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OUTPUT",
    help="The PEX: a file, or a folder with `--layout packed` or `loose`.",
)
@click.option(
    "--sources",
    is_flag=True,
    help="Pack a copy of the project's sources with the state (pex's -D), not its wheel.",
)
@json_option
@click.option("--quiet", "-q", "mode", flag_value="quiet", help="Show problems only.")
@click.option("--verbose", "-v", "mode", flag_value="verbose", help="Show what tools print.")
@click.pass_context
def command(
    ctx: click.Context,
    arguments: tuple[str, ...],
    output: Path,
    sources: bool,
    as_json: bool,
    mode: Mode | None,
) -> None:
    """Build the wheel of each PROJECT, and a PEX of these wheels that needs their state to boot.

    PROJECT is a project's folder, or a wheel with state. Everything from the first option on that
    is not listed here goes to pex, as does everything after `--`, such as requirements. Wheels are
    built by `build`, uv or pip, and the PEX by pex: the first of each that is installed beside
    defs-state or on PATH.

    The PEX binds DEFS_STATE_MANIFEST_<PROJECT> to the path of the manifest of each project, and
    has the digests of their state in the build property `defs-state`. It is read back before it
    takes its place; when something fails, what was there before stays.

    Dagster starts code servers with the interpreter that it runs in, which finds the project only
    with `--venv`.

    With --sources, the dependencies that pyproject.toml lists are packed, too, unless pex is given
    a list or a lock (`-r`, `--lock`, `--pylock`, ...), which has to have dynamic ones.

    \b
    Examples:
      defs-state pex platform -o platform.pex --venv -c dagster
      defs-state pex dist/platform-1.0-py3-none-any.whl -o platform.pex --layout packed
      defs-state pex sales finance -o both.pex --python python3.12 -r requirements.txt
      defs-state pex platform --sources -o platform.pex --lock pex.lock
    """  # noqa: D301 - click wants the character
    count = ctx.meta[_PROJECTS]
    projects, options = [Path(text) for text in arguments[:count]], arguments[count:]
    if not projects:
        raise click.UsageError("name a PROJECT before the options of pex")
    for project in projects:
        if not project.exists():
            raise click.UsageError(f"{project} does not exist; requirements go after `--`")
    log = _log(mode or "auto")
    packer = Packer(output, options)
    with tempfile.TemporaryDirectory(prefix="defs-state-") as name, orderly():
        scratch = Path(name)
        make = _sources(mode or "auto") if sources else _wheel(log)
        parts = [make(each, scratch / str(number)) for number, each in enumerate(projects)]
        packed = packer.pack(parts, log)
    _tell(packed, output, log)
    if as_json:
        click.echo(json.dumps(_document(packed, output), indent=2))


def _log(mode: Mode) -> Log:
    def say(text: str) -> None:
        click.echo(one_line(text), err=True)

    def detail(text: str) -> None:
        click.echo(text, err=True)

    def hide(_text: str) -> None:
        pass

    return Log(hide if mode == "quiet" else say, detail if mode == "verbose" else hide)


def _wheel(log: Log) -> Callable[[Path, Path], Part]:
    from hatch_defs_state.packing.wheels import as_wheel

    return lambda project, folder: as_wheel(project, folder, log)


def _sources(mode: Mode) -> Callable[[Path, Path], Part]:
    from hatch_defs_state.packing.sources import as_sources

    def make(path: Path, folder: Path) -> Part:
        if not path.is_dir():
            raise click.UsageError(f"--sources takes the folders of projects, and {path} is none")
        project, settings = open_project(path)
        with reporter(sys.stderr, mode=mode, jobs=settings.jobs, root=project.root) as report:
            open_store = partial(configured_store, settings, project.root)
            return as_sources(project, settings, folder, report, open_store)

    return make


def _tell(packed: Packed, output: Path, log: Log) -> None:
    for part in packed.parts:
        manifest = part.state.manifest
        count = counted(len(manifest.keys), "state")
        log.say(f"{output.name}: {count} of {part.name} verified, digest {manifest.digest[:12]}")


def _document(packed: Packed, output: Path) -> dict[str, Any]:
    return {
        "schema": 1,
        "output": str(output),
        "layout": packed.pex.layout,
        "tool": packed.tool,
        "build_property": PROPERTY,
        "projects": [
            {
                "project": part.name,
                "digest": part.state.manifest.digest,
                "folder": part.state.folder,
                "keys": sorted(part.state.manifest.keys),
                "variable": part.variable,
                "wheel": part.wheel,
            }
            for part in packed.parts
        ],
    }
