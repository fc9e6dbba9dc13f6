"""What the steps of a refresh job do; each may run in a process, and on a machine, of its own."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import Failure

from hatch_defs_state import project as projects
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.dagster.home import configured_store
from hatch_defs_state.dagster.reloading import reload_location, shown
from hatch_defs_state.dagster.state_storage import VersionedDefsStateStorage
from hatch_defs_state.errors import DefsStateError, SettingsError
from hatch_defs_state.refresh.engine import load
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.refresh.plan import make_plan
from hatch_defs_state.refresh.versioned import renew
from hatch_defs_state.reporting.wording import Level, counted, lines
from hatch_defs_state.settings import layers
from hatch_defs_state.storage.versioned.parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dagster import OpExecutionContext

    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.events import Event, Report
    from hatch_defs_state.settings.model import Settings
    from hatch_defs_state.storage.versioned import VersionedStorage

_KIND = ManagementType.VERSIONED_STATE_STORAGE


@dataclass(frozen=True)
class Work:
    """What a job works on, as far as it is known where the job is defined.

    Attributes:
        folder: A folder in the project.
        import_root: The folder from which the module is imported that defines the job.
        keys: Globs of the state keys.
        settings: Settings for the job alone, by field name.
    """

    folder: Path
    import_root: Path | None
    keys: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: str | Path | None,
        caller: Mapping[str, Any],
        keys: Sequence[str],
        settings: Mapping[str, Any] | None,
    ) -> Work:
        """Return what a job works on.

        Args:
            folder: A folder in the project; by default that of the caller.
            caller: The global names of the module that defines the job.
            keys: Globs of the state keys.
            settings: Settings for the job, by their names in TOML.

        Raises:
            SettingsError: A setting is wrong, or the project is not known.
        """
        values = layers.parse_table(settings or {}, "settings", "build_refresh_job")
        if folder is not None:
            return cls(Path(folder), None, tuple(keys), values)
        file, package = caller.get("__file__"), caller.get("__package__")
        if not file:
            raise SettingsError(
                "build_refresh_job: which project it is for is not known",
                hint="give `project`, a folder in it",
            )
        place = Path(file).absolute().parent
        depth = len(package.split(".")) if package else 0
        return cls(place, place.parents[depth - 1] if depth else place, tuple(keys), values)

    def open(self) -> tuple[Project, Settings]:
        """Find the project and read its settings.

        Raises:
            DefsStateError: There is no project, or its settings are wrong.
        """
        config = projects.discover(self.folder)
        settings = layers.gather(
            lambda: projects.file_settings(config),
            lambda: layers.parse_environment(os.environ),
            lambda: self.settings,
        )
        roots = None
        if self.import_root is not None:
            roots = [self.import_root, *projects.default_import_roots(config)]
        return projects.locate(config, settings, roots), settings


@contextlib.contextmanager
def as_failure() -> Iterator[None]:
    """Let an error of ours fail a step with what it says, and no traceback."""
    try:
        yield
    except DefsStateError as error:
        raise Failure(description=str(error)) from None


def list_batches(work: Work, context: OpExecutionContext, size: int) -> list[list[str]]:
    """Return the keys of the versioned components, in batches."""
    project, settings = work.open()
    # Before any work is done: without a store, all of it would be in vain.
    _storage(context, project, settings)
    with (
        tempfile.TemporaryDirectory(prefix="defs-state-") as scratch,
        chosen(project.config, settings, _report(context)) as interpreter,
    ):
        loaded, _ = load(project, settings, Path(scratch), interpreter)
    plan = make_plan(loaded.declarations, _KIND)
    keys = [
        declaration.key
        for _, declaration in plan.run
        if any(fnmatch.fnmatchcase(declaration.key, glob) for glob in work.keys)
    ]
    if not keys:
        wanted = ", ".join(work.keys)
        context.log.warning(f"no component with {_KIND.value} has a key like {wanted}")
    return [keys[start : start + size] for start in range(0, len(keys), size)]


def refresh_batch(
    work: Work, context: OpExecutionContext, keys: Sequence[str], scratch: Path
) -> dict[str, str]:
    """Run the writers of some keys, and upload what has changed.

    Returns:
        The new version of each key whose state has changed; none of them is current.
    """
    project, settings = work.open()
    storage = _storage(context, project, settings)
    renewal = renew(project, settings, storage, scratch, _report(context), keys=keys)
    versions = run_all(lambda item: storage.upload(*item), renewal.folders.items())
    return dict(zip(renewal.folders, versions, strict=True))


def commit(
    work: Work,
    context: OpExecutionContext,
    changes: Sequence[Mapping[str, str]],
    url: str | None,
    location: str | None,
) -> dict[str, Any]:
    """Make uploaded versions current in one commit, and reload the code location.

    Returns:
        Number and place of the commit, and what it changed.
    """
    project, settings = work.open()
    versions = {key: version for batch in changes for key, version in batch.items()}
    count = counted(len(versions), "key")
    message = f"refresh {project.config.name}: {count}, run {context.run_id}"
    own = context.instance.defs_state_storage
    storage = _storage(context, project, settings)
    if not versions:
        serial = storage.head().serial
    elif isinstance(own, VersionedDefsStateStorage):
        serial = own.commit(versions, message)
    else:
        serial = storage.set_versions(versions, message).serial
    context.log.info(f"{count} changed in {storage.url}, commit {serial}")
    if url is None or location is None:
        missing = "web server" if url is None else "code location"
        context.log.warning(f"no {missing} is known: nothing is reloaded")
    else:
        reload_location(url, location)
        context.log.info(f"{location} has been reloaded by {shown(url)}")
    return {"store": storage.url, "serial": serial, "changes": versions}


def own_location(context: OpExecutionContext) -> str | None:
    """Return the name of the code location that a run comes from, if it comes from one."""
    origin = context.run.remote_job_origin
    if origin is None:
        return None
    name: str = origin.repository_origin.code_location_origin.location_name
    return name


def _storage(context: OpExecutionContext, project: Project, settings: Settings) -> VersionedStorage:
    """Return the store that the instance names, since code locations read that; else the project's.

    Raises:
        SettingsError: Neither names one.
    """
    own = context.instance.defs_state_storage
    if isinstance(own, VersionedDefsStateStorage):
        return own.versioned
    return configured_store(settings, project.root)


def _report(context: OpExecutionContext) -> Report:
    """Return what tells the run's log of events."""
    tell = {
        Level.DETAIL: context.log.debug,
        Level.INFO: context.log.info,
        Level.WARNING: context.log.warning,
        Level.ERROR: context.log.error,
    }

    def report(event: Event) -> None:
        for line in lines(event):
            tell[line.level](line.text)

    return report
