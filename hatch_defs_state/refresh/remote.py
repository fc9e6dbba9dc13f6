"""Writers on any `concurrent.futures.Executor`: units of work that travel, and what comes back.

The project has to lie at the same path wherever a unit runs. The setting `python` is followed there
as it is here: `auto` takes the worker's own environment if that has what the project requires, and
else an environment that is made and kept on the worker's machine. The state that writers leave is
packed and sent back; it is judged where the refresh was started.
"""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import WriterError
from hatch_defs_state.refresh.attempt import Attempt, Ended
from hatch_defs_state.refresh.events import Outcome, Report, Started, ignore
from hatch_defs_state.refresh.interpreters.choice import chosen
from hatch_defs_state.refresh.supervisor import Supervisor
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.errors import DefsStateError
    from hatch_defs_state.project import Project
    from hatch_defs_state.settings.model import Settings

Task = tuple[int, "ComponentDeclaration"]


@dataclass(frozen=True)
class WorkUnit:
    """Writers that one worker runs with one load of the project; small, and can be pickled.

    Attributes:
        project: The project.
        keys: The keys whose writers run.
        settings: Ours; `jobs` is how many of these writers run at a time.
    """

    project: Project
    keys: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class UnitEnd:
    """The end of one key of a unit; see `Ended`.

    Attributes:
        key: The state key.
        number: Number of the last attempt.
        seconds: Its wall time.
        outcome: How it ended.
        error: Why it failed.
        output: What the writer printed.
        archive: What it left, as a tar archive; empty when it failed.
    """

    key: str
    number: int
    seconds: float
    outcome: Outcome
    error: DefsStateError | None
    output: str
    archive: bytes


def run_unit(unit: WorkUnit) -> list[UnitEnd]:
    """Run the writers of a unit on this machine and pack what they left.

    Raises:
        DefsStateError: The project cannot be loaded here.
    """
    ends: list[UnitEnd] = []

    def finish(ended: Ended) -> None:
        ends.append(
            UnitEnd(
                key=ended.attempt.declaration.key,
                number=ended.attempt.number,
                seconds=ended.seconds,
                outcome=ended.outcome,
                error=ended.error,
                output=ended.output,
                archive=_pack(ended.folder) if ended.error is None else b"",
            )
        )

    with (
        tempfile.TemporaryDirectory(prefix="defs-state-") as scratch,
        chosen(unit.project.config, unit.settings, ignore) as interpreter,
        Supervisor(
            unit.project, unit.settings, interpreter.executable, Path(scratch)
        ) as supervisor,
    ):
        found: dict[str, Task] = {}
        for index, declaration in enumerate(supervisor.load().declarations):
            found.setdefault(declaration.key, (index, declaration))
        supervisor.run([found[key] for key in unit.keys if key in found], ignore, finish)
    return ends


def run_on(
    executor: Executor,
    project: Project,
    settings: Settings,
    tasks: Sequence[Task],
    scratch: Path,
    report: Report,
    finish: Callable[[Ended], None],
) -> None:
    """Run writers on an executor until each has ended.

    Args:
        executor: Runs `run_unit`.
        project: The project.
        settings: Ours; `jobs` is how many writers run at a time in all.
        tasks: Positions and declarations of the components.
        scratch: Where their state is unpacked.
        report: Told of every start.
        finish: Told of the end of each key, as it arrives.
    """
    declarations = {declaration.key: (index, declaration) for index, declaration in tasks}
    futures: dict[Future[list[UnitEnd]], WorkUnit] = {}
    try:
        for unit in split(project, settings, [declaration.key for _, declaration in tasks]):
            futures[executor.submit(run_unit, unit)] = unit
            for key in unit.keys:
                report(Started(key, 1))
        for future in as_completed(futures):
            for end in _ends_of(future, futures[future], declarations):
                index, declaration = declarations[end.key]
                attempt = Attempt(index, declaration, end.number)
                finish(_unpack(end, attempt, scratch))
    except KeyboardInterrupt:
        executor.shutdown(wait=False, cancel_futures=True)
        raise


def split(project: Project, settings: Settings, keys: Sequence[str]) -> list[WorkUnit]:
    """Distribute keys over units: as many units as writers run at a time, evenly filled."""
    count = min(len(keys), settings.jobs)
    each = replace(settings, jobs=max(1, math.ceil(settings.jobs / max(1, count))))
    return [WorkUnit(project, tuple(keys[number::count]), each) for number in range(count)]


def _ends_of(
    future: Future[list[UnitEnd]],
    unit: WorkUnit,
    declarations: dict[str, Task],
) -> list[UnitEnd]:
    """Return the ends of a unit; a failure of the unit is one of each of its keys."""
    try:
        ends = {end.key: end for end in future.result()}
        reason = "did not run: its component is not found where the unit ran"
    except Exception as error:
        ends, reason = {}, f"did not run: {type(error).__name__}: {error}"
    for key in unit.keys:
        if key not in ends:
            declaration = declarations[key][1]
            failure = WriterError(
                f"the writer of {declaration.component_type} {reason}",
                key=key,
                location=declaration.location,
            )
            ends[key] = UnitEnd(key, 1, 0.0, Outcome.FAILED, failure, "", b"")
    return list(ends.values())


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        if folder.exists():
            archive.add(folder, arcname=".")
    return buffer.getvalue()


def _unpack(end: UnitEnd, attempt: Attempt, scratch: Path) -> Ended:
    folder = scratch / "units" / str(attempt.index) / folder_name(end.key)
    folder.mkdir(parents=True)
    if end.archive:
        with tarfile.open(fileobj=io.BytesIO(end.archive)) as archive:
            if hasattr(tarfile, "tar_filter"):
                archive.extractall(folder, filter="tar")
            else:
                archive.extractall(folder)  # noqa: S202 - packed by `run_unit`
    return Ended(attempt, folder, end.seconds, end.outcome, end.error, end.output)
