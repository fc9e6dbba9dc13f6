"""Runs writers in child processes: so many at a time, each with a deadline, each killable alone."""

from __future__ import annotations

import heapq
import itertools
import queue
import random
import sys
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import ProjectError
from hatch_defs_state.refresh.attempt import Attempt, AttemptFiles, Ended, describe_status
from hatch_defs_state.refresh.child import Child, ChildEnvironment, Guest
from hatch_defs_state.refresh.events import Outcome, Report, Retried, Started
from hatch_defs_state.refresh.host import RETURNED
from hatch_defs_state.refresh.kill import kill_tree
from hatch_defs_state.refresh.loaded import Loaded
from hatch_defs_state.refresh.output import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.project import Project
    from hatch_defs_state.settings.model import Settings

_GRACE_SECONDS = 5.0
_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 30.0


@dataclass
class _Running:
    attempt: Attempt
    child: Child
    started: float
    timeout: float
    slot: int
    pid: int | None = None
    timed_out: bool = False


@dataclass
class Supervisor:
    """Owns the child processes of one refresh; a context manager that ends them all.

    Attributes:
        project: The project.
        settings: Gives `jobs`, and `timeout` and `retries` of every key.
        python: The interpreter of the children.
        scratch: A folder of its own, outside of the project.
        distributions: Names of distributions whose versions are of interest.
        fork: Whether writers run in forks of a loaded process where the platform allows it.
    """

    project: Project
    settings: Settings
    python: str
    scratch: Path
    distributions: tuple[str, ...] = ()
    fork: bool = True
    _guest: Guest | None = None
    _children: list[Child] = field(default_factory=list)
    _running: dict[int, _Running] = field(default_factory=dict)
    _inbox: queue.SimpleQueue[tuple[Child, dict[str, Any] | None]] = field(
        default_factory=queue.SimpleQueue
    )

    def __enter__(self) -> Self:
        self._files = AttemptFiles(self.scratch)
        self._files.create()
        if self.python != sys.executable:
            self._guest = Guest.make(self.scratch / "guest")
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running.values():
            if running.pid is not None:
                kill_tree(running.pid, _marker_of(running.child, running.attempt))
        for child in self._children:
            child.stop()

    def load(self) -> Loaded:
        """Start a child and let it load the project.

        Raises:
            DefsStateError: The project cannot be loaded, or components of it; all reasons.
        """
        child = self._start_child()
        deadline = time.monotonic() + self.settings.timeout
        try:
            while True:
                sender, message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
                if sender is child:
                    break
        except queue.Empty:
            raise ProjectError(
                f"loading the project took longer than {self.settings.timeout:g} s",
                hint="raise the setting `timeout`, or find out what its modules wait for",
                output=tail(child.log),
            ) from None
        if message is None:
            raise ProjectError(
                f"the process that loads the project {describe_status(child.exit_status())}",
                output=tail(child.log),
            )
        loaded = Loaded.parse(message)
        self._become_ready(child, message)
        return loaded

    def run(
        self,
        tasks: Iterable[tuple[int, ComponentDeclaration]],
        report: Report,
        finish: Callable[[Ended], None],
    ) -> None:
        """Run writers until each has ended.

        Args:
            tasks: Positions in `Loaded.declarations`, with the declarations.
            report: Told of every start and every retry.
            finish: Told of the end of each key, as it happens.
        """
        ready = deque(Attempt(index, declaration, 1) for index, declaration in tasks)
        delayed: list[tuple[float, int, Attempt]] = []
        try:
            self._run(ready, delayed, report, finish)
        except KeyboardInterrupt:
            waiting = [*ready, *(attempt for _, _, attempt in delayed)]
            for attempt in [*(r.attempt for r in self._running.values()), *waiting]:
                finish(Ended(attempt, self._files.folder(attempt), 0.0, Outcome.CANCELLED))
            raise

    def _run(
        self,
        ready: deque[Attempt],
        delayed: list[tuple[float, int, Attempt]],
        report: Report,
        finish: Callable[[Ended], None],
    ) -> None:
        while ready or delayed or self._running:
            now = time.monotonic()
            while delayed and delayed[0][0] <= now:
                ready.append(heapq.heappop(delayed)[2])
            while ready and (child := self._free_child()):
                self._start(child, ready.popleft(), report)
            for ended in self._next_ends(delayed[0][0] if delayed else None):
                retry = self._retry_delay(ended)
                if retry is None:
                    finish(ended)
                    continue
                attempt, error = ended.attempt, ended.error
                assert error is not None  # noqa: S101 - only failures are retried
                report(Retried(attempt.declaration.key, attempt.number, retry, error))
                due = time.monotonic() + retry
                heapq.heappush(delayed, (due, attempt.index, attempt.next()))

    def _start_child(self) -> Child:
        environment = ChildEnvironment(
            self.python,
            self.project.root,
            self.project.import_roots,
            marker=f"{uuid.uuid4().hex}:",
            guest=self._guest,
        )
        log = self._files.child_log(len(self._children))
        child = Child(environment, self._inbox, log)
        child.start()
        self._children.append(child)
        child.send(
            {
                "do": "load",
                "source": self.project.config.framework.value,
                "project_root": str(self.project.root),
                "defs_module": self.project.defs_module,
                "distributions": list(self.distributions),
                "log": str(log),
                "fork": self.fork,
            }
        )
        return child

    def _become_ready(self, child: Child, message: Mapping[str, Any]) -> None:
        child.capacity = self.settings.jobs if message["fork"] else 1

    def _free_child(self) -> Child | None:
        for child in self._children:
            if len(child.running) < child.capacity:
                return child
        loading = sum(not child.capacity for child in self._children)
        capacity = sum(child.capacity for child in self._children)
        if loading + capacity < self.settings.jobs and not loading:
            self._start_child()
        return None

    def _start(self, child: Child, attempt: Attempt, report: Report) -> None:
        folder = self._files.folder(attempt)
        folder.mkdir(parents=attempt.number > 1)
        child.running.add(attempt.index)
        taken = {running.slot for running in self._running.values()}
        slot = next(number for number in itertools.count() if number not in taken)
        timeout = self.settings.of(attempt.declaration.key).timeout
        self._running[attempt.index] = _Running(attempt, child, time.monotonic(), timeout, slot)
        report(Started(attempt.declaration.key, attempt.number))
        child.send(
            {
                "do": "run",
                "index": attempt.index,
                "state_path": str(folder / "state"),
                "log": str(self._files.log(slot)),
                "report": str(self._files.report(attempt)),
                "marker": _marker_of(child, attempt),
            }
        )

    def _next_ends(self, wake: float | None) -> list[Ended]:
        """Wait for the next message, deadline or retry; return the attempts that it ended."""
        times = [
            r.started + r.timeout + (_GRACE_SECONDS if r.timed_out else 0.0)
            for r in self._running.values()
        ]
        times.extend([wake] if wake is not None else [])
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        try:
            child, message = self._inbox.get(timeout=wait)
        except queue.Empty:
            return self._end_overdue()
        if message is None:
            return self._lose(child)
        if message["is"] == "loaded":
            self._become_ready(child, message)
        elif message["is"] == "started" and message["index"] in self._running:
            self._running[message["index"]].pid = message["pid"]
        elif message["is"] == "ended" and message["index"] in self._running:
            return [self._end(message["index"], message["status"])]
        return []

    def _end_overdue(self) -> list[Ended]:
        now = time.monotonic()
        for running in self._running.values():
            if not running.timed_out and now >= running.started + running.timeout:
                running.timed_out = True
                pid = running.pid if running.pid is not None else running.child.pid
                kill_tree(pid, _marker_of(running.child, running.attempt))
            elif running.timed_out and now >= running.started + running.timeout + _GRACE_SECONDS:
                # The child does not notice the end of its writer: it is of no more use.
                kill_tree(running.child.pid, running.child.environment.marker)
        return []

    def _lose(self, child: Child) -> list[Ended]:
        """Account for a child that is gone: its writers are, too."""
        status = child.exit_status()
        self._children.remove(child)
        child.stop()
        if not child.capacity:
            raise ProjectError(
                f"the process that loads the project {describe_status(status)}",
                output=tail(child.log),
            )
        return [self._end(index, status) for index in list(child.running)]

    def _end(self, index: int, status: int) -> Ended:
        running = self._running.pop(index)
        running.child.running.discard(index)
        attempt = running.attempt
        seconds = time.monotonic() - running.started
        folder = self._files.folder(attempt)
        output = tail(self._files.log(running.slot))
        if status == RETURNED and not running.timed_out:
            return Ended(attempt, folder, seconds, Outcome.REFRESHED, output=output)
        outcome, error = self._files.explain(
            attempt, status, running.timeout if running.timed_out else None, output
        )
        return Ended(attempt, folder, seconds, outcome, error)

    def _retry_delay(self, ended: Ended) -> float | None:
        retries = self.settings.of(ended.attempt.declaration.key).retries
        if ended.error is None or ended.attempt.number > retries:
            return None
        longest = min(_FIRST_RETRY_SECONDS * 2**ended.attempt.number, _LONGEST_RETRY_SECONDS)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


def _marker_of(child: Child, attempt: Attempt) -> str:
    return f"{child.environment.marker}{attempt}:"
