"""`defs-state store`: the history of versioned state; one file a command, in `cli/store`."""

from __future__ import annotations

import click

from hatch_defs_state.cli.root import CONTEXT, LazyGroup

_COMMANDS = {
    "log": "List the commits, the newest first.",
    "show": "Show the versions of a commit, or the files of a key's version.",
    "diff": "Show what differs between two commits.",
    "rollback": "Make the versions of an older commit current again, in a new commit.",
    "pin": "Keep the versions of a commit from clean-up; list what is kept so.",
    "gc": "Forget old commits, and remove what nothing needs any more.",
    "verify": "Check every commit and every object.",
}


@click.group(
    name="store",
    cls=LazyGroup,
    lazy=_COMMANDS,
    module="hatch_defs_state.cli.store.{}",
    context_settings=CONTEXT,
    epilog="Exit status: 0 done, 1 failed or damaged, 2 wrong usage, 3 different (diff).",
)
def command() -> None:
    """Show, check and clean up the history of versioned state.

    The store is that of `--store`, of DEFS_STATE_STORE, of the setting `store` of the project, or
    else the `base` of `defs_state_storage` in the dagster.yaml of DAGSTER_HOME.

    \b
    Examples:
      defs-state store log
      defs-state store diff head~1
      defs-state store rollback 12 --message "Fivetran was half empty"
      defs-state store gc --keep-commits 50 --dry-run
    """  # noqa: D301 - click wants the character
