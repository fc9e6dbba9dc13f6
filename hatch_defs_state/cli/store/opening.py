"""Which store a command works on, and which commit is meant."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hatch_defs_state import project as projects
from hatch_defs_state.cli.root import project_option
from hatch_defs_state.dagster.home import configured_store
from hatch_defs_state.errors import CommitNotFoundError, ProjectError
from hatch_defs_state.settings import layers
from hatch_defs_state.settings.model import Settings
from hatch_defs_state.storage.versioned import VersionedStorage

if TYPE_CHECKING:
    from hatch_defs_state.cli.root import Decorated

COMMIT_HELP = "COMMIT is a number, `head` for the newest, or `head~N` for the one N before it."

NAMES_COMMIT = re.compile(r"([1-9]\d*)|head(?:~(\d+))?")


def store_options(function: Decorated) -> Decorated:
    """Add the options that say which store is meant."""
    function = project_option(function)
    return click.option(
        "--store",
        "store_url",
        metavar="URL",
        help="The store: a folder, s3://, gs:// or az://. By default that of DEFS_STATE_STORE, "
        "of the project, or of dagster.yaml.",
    )(function)


def open_store(store_url: str | None, project_folder: Path) -> VersionedStorage:
    """Open the store that is meant; nothing is read from it yet.

    Args:
        store_url: What `--store` says.
        project_folder: Where a project is looked for; there need not be one.

    Raises:
        DefsStateError: No store is named anywhere, or what names it is wrong.
    """
    named = store_url or os.environ.get("DEFS_STATE_STORE")
    if named and ("://" in named or Path(named).is_absolute()):
        return VersionedStorage(named)
    try:
        config = projects.discover(project_folder)
    except ProjectError:
        root, settings = project_folder.resolve(), Settings()
    else:
        root, settings = config.root, layers.gather(lambda: projects.file_settings(config))
    return configured_store(replace(settings, store=named or settings.store), root)


def serial_of(storage: VersionedStorage, text: str) -> int:
    """Return the number of the commit that `text` means; 0 is what there was before the first.

    Raises:
        click.UsageError: It means none.
        CommitNotFoundError: There are not that many.
    """
    match = NAMES_COMMIT.fullmatch(text)
    if match is None:
        raise click.UsageError(f"{text!r} is no commit: give a number, `head` or `head~N`")
    if match[1]:
        return int(match[1])
    head, back = storage.head().serial, int(match[2] or 0)
    if back > head:
        raise CommitNotFoundError(
            f"there is no commit {text} in {storage.url}: the newest one is {head}",
            hint="`defs-state store log` lists those that there are",
        )
    return head - back
