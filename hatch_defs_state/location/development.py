"""Refreshing the state in a source tree when its definitions load in development."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import ProjectError, StateError
from hatch_defs_state.location import local
from hatch_defs_state.location.configuration import configure, is_dev
from hatch_defs_state.project import default_import_roots, locate
from hatch_defs_state.storage import generation as generations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.location.configuration import Given
    from hatch_defs_state.location.place import Place
    from hatch_defs_state.refresh.events import Event
    from hatch_defs_state.storage.generation import Generation

_log = logging.getLogger(__name__)


def refresh(place: Place, given: Given, declarations: Sequence[ComponentDeclaration]) -> None:
    """Refresh the local state of components that want it, if this is development.

    The others keep what they have. Nothing is refreshed where the setting `refresh` is "frozen".

    Args:
        place: Where the code location is.
        given: What its caller says.
        declarations: Its components.

    Raises:
        ProjectError: It is installed, not in a source tree.
        DefsStateError: A writer fails, or the state cannot be written; nothing has changed then.
    """
    local_ones = [d for d in declarations if d.management_type is ManagementType.LOCAL_FILESYSTEM]
    if not is_dev(given.dev) or not any(d.refresh_if_dev for d in local_ones):
        return
    if place.config is None:
        raise ProjectError(
            f"{place.defs_module} is installed in {place.folder}: state is refreshed in source "
            "trees only",
            hint="unset DEFS_STATE_DEV, or load the module from its source tree",
        )
    settings = replace(configure(place, given, None).settings, defs_module=place.defs_module)
    if settings.refresh == "frozen":
        return
    if not os.access(place.folder, os.W_OK):
        raise StateError(
            f"the state cannot be refreshed: {place.folder} cannot be written",
            hint="unset DEFS_STATE_DEV, or make the folder writable",
        )
    if not all(d.refresh_if_dev for d in local_ones):
        # What is kept has to be in order.
        local.check(place)
    from hatch_defs_state.refresh.engine import refresh_some
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.storage.publish import publish, recover

    import_root = place.folder.parents[place.defs_module.count(".")]
    roots = dict.fromkeys((import_root, *default_import_roots(place.config)))
    project = locate(place.config, settings, tuple(roots))
    with Workspace.of(place.config) as workspace:
        recover(project.state_folder)
        generation = refresh_some(
            project, settings, workspace, _report, lambda declaration: declaration.refresh_if_dev
        )
        if not _is_there(generation, place):
            publish(generation, project.state_folder)


def _is_there(generation: Generation, place: Place) -> bool:
    if not generations.is_whole(place.state_folder):
        return False
    return generations.read(place.state_folder).manifest == generation.manifest


def _report(event: Event) -> None:
    from hatch_defs_state.refresh.events import Finished, Planned, Waiting

    if isinstance(event, Planned):
        _log.info("refreshing %s", ", ".join(event.keys))
    elif isinstance(event, Waiting):
        _log.info("waiting for another refresh: %s", event.holder)
    elif isinstance(event, Finished):
        level = logging.WARNING if event.note else logging.INFO
        _log.log(
            level,
            "%s: %s%s",
            event.key,
            event.outcome.value,
            f"; {event.note}" if event.note else "",
        )
