"""The part of `defs-state refresh` that is about versioned state and the reload after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.executors import open_executor
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.refresh.events import Reloaded
from hatch_defs_state.refresh.interrupt import orderly
from hatch_defs_state.refresh.workspace import Workspace

if TYPE_CHECKING:
    from hatch_defs_state.cli.root import Decorated
    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.events import Report
    from hatch_defs_state.settings.model import Settings

_KINDS = (
    ManagementType.LOCAL_FILESYSTEM.value,
    ManagementType.VERSIONED_STATE_STORAGE.value,
)


@dataclass(frozen=True)
class Reload:
    """The code location that is reloaded when the state is renewed.

    Attributes:
        url: Address of Dagster's web server.
        location: The code location.
    """

    url: str
    location: str

    @classmethod
    def of(cls, url: str | None, location: str | None) -> Reload | None:
        """Return what two options say; they belong together."""
        if url is None and location is None:
            return None
        if url is None or location is None:
            raise click.UsageError("--reload and --location belong together: give both, or neither")
        return cls(url, location)

    def run(self, report: Report) -> None:
        """Reload it.

        Raises:
            ReloadError: It was not reloaded, or does not load.
        """
        from hatch_defs_state.dagster.reloading import reload_location, shown

        reload_location(self.url, self.location)
        report(Reloaded(self.location, shown(self.url)))


def versioned_options(function: Decorated) -> Decorated:
    """Add the options `--management-type`, `--reload` and `--location`."""
    kind = click.option(
        "--management-type",
        "kind",
        type=click.Choice(_KINDS),
        default=_KINDS[0],
        show_default=True,
        help="The state of which components is renewed.",
    )
    url = click.option(
        "--reload",
        "reload_url",
        metavar="URL",
        help="Dagster's web server, which reloads the code location afterwards.",
    )
    location = click.option(
        "--location", metavar="NAME", help="The code location that --reload reloads."
    )
    return kind(url(location(function)))


def commit_versioned(
    project: Project, settings: Settings, report: Report, executor_name: str | None
) -> None:
    """Renew all versioned state of a project, in one commit.

    Raises:
        DefsStateError: Nothing has become current.
    """
    from hatch_defs_state.dagster.home import configured_store
    from hatch_defs_state.refresh.versioned import refresh_versioned

    storage = configured_store(settings, project.root)
    with (
        orderly(),
        open_executor(executor_name) as executor,
        Workspace.of(project.config) as workspace,
    ):
        refresh_versioned(project, settings, storage, workspace, report, executor)
