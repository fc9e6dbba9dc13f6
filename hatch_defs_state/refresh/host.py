"""The child process that loads a project once and runs its writers.

It runs in the project's environment, so it imports little: the standard library, `components/`, and
the source of components that its first message names. It speaks with the parent in JSON lines over
the standard input and output that it was started with; both are moved away from the file
descriptors 0 and 1 before any code of the project runs, so that nothing which that code prints can
disturb the conversation.

Where the platform can fork safely, every writer runs in a fork: loaded, isolated, killable.
Elsewhere it runs in this process, and the parent keeps several such processes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hatch_defs_state.errors import DefsStateError, ProjectError, flatten
from hatch_defs_state.refresh.family import (
    RUN_MARKER,
    adopt_orphans,
    adopted,
    carries,
    kill,
    kill_group,
)
from hatch_defs_state.refresh.installed import versions_of
from hatch_defs_state.refresh.trace import print_trace, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from hatch_defs_state.components.declaration import LoadedProject


RETURNED = 86
"""Exit status of a writer's process whose writer returned: 0 is what a writer that leaves has."""

_LONGEST_PAUSE_SECONDS = 0.2


class Host:
    """Answers the parent: `load` once, then `run` any number of times, until the input ends."""

    def __init__(self, commands: int, answers: TextIO) -> None:
        self._commands = commands
        self._answers = answers
        self._children: dict[int, tuple[int, str]] = {}
        self._project: LoadedProject | None = None
        self._source: ModuleType | None = None
        self._fork = False

    def serve(self) -> None:
        """Answer commands until the parent goes away; then end what still runs."""
        reader = _LineReader(self._commands)
        wakeup = self._watch_children()
        try:
            while not reader.ended:
                waiting = [self._commands] if wakeup is None else [self._commands, wakeup]
                ready = waiting
                if wakeup is not None:
                    pause = _LONGEST_PAUSE_SECONDS if self._children else None
                    ready = select.select(waiting, [], [], pause)[0]
                    if wakeup in ready:
                        os.read(wakeup, 4096)
                    self._reap()
                if self._commands in ready:
                    for line in reader.lines():
                        self._obey(json.loads(line))
        finally:
            for pid in self._children:
                kill_group(pid)
            for pid in adopted(self._children):
                kill(pid)

    def _watch_children(self) -> int | None:
        if not hasattr(signal, "SIGCHLD"):
            return None
        reading, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(reading, False)
        self._listen()
        return reading

    def _listen(self) -> None:
        """Be woken by the end of a child; code of the project may have changed the handlers."""
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)

    def _obey(self, command: Mapping[str, Any]) -> None:
        if command["do"] == "load":
            self._answer(self._load(command))
        elif self._fork:
            self._fork_writer(command)
        else:
            with _output_to(Path(command["log"])):
                status = self._write(command)
            self._answer({"is": "ended", "index": command["index"], "status": status})

    def _answer(self, message: Mapping[str, Any]) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def _load(self, command: Mapping[str, Any]) -> dict[str, Any]:
        errors: list[DefsStateError] = []
        with _output_to(Path(command["log"])):
            try:
                self._source = importlib.import_module(command["source"])
                self._project = self._source.load(
                    Path(command["project_root"]), command["defs_module"]
                )
                errors.extend(self._project.errors)
            except DefsStateError as error:
                errors.append(error)
            except ImportError as error:
                errors.append(_source_error(command["source"], error))
            except BaseException as error:
                print_trace(error)
                errors.append(ProjectError(f"loading the project {reason_of(error)}"))
        self._listen()
        found = self._project.components if self._project else ()
        if any(inspect.iscoroutinefunction(type(c.component).write_state_to_path) for c in found):
            # Once, here, and not in every fork; without it forks are quicker.
            importlib.import_module("asyncio")
        # What is loaded stays: a collection in a fork would copy all of it, page by page.
        gc.collect()
        gc.freeze()
        self._fork = bool(command["fork"]) and _can_fork()
        return {
            "is": "loaded",
            "components": [component.declaration.to_json() for component in found],
            "errors": [_error_to_json(error) for error in flatten(errors)],
            "warnings": list(self._project.warnings) if self._project else [],
            "fork": self._fork,
            "versions": versions_of(command["distributions"]),
        }

    def _fork_writer(self, command: Mapping[str, Any]) -> None:
        _flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.setsid()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(self._commands)
                os.close(self._answers.fileno())
                _redirect(Path(command["log"]))
                status = self._write(command)
                _flush()
            finally:
                os._exit(status)
        self._children[pid] = command["index"], command["marker"]
        self._answer({"is": "started", "index": command["index"], "pid": pid})

    def _reap(self) -> None:
        for pid in list(self._children):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # What the writer left running could still write; its group is killed before the process
            # is collected, while nobody else can have been given its number.
            kill_group(pid)
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            index, marker = self._children.pop(pid)
            for orphan in adopted(self._children):
                if carries(orphan, marker):
                    kill(orphan)
            self._answer({"is": "ended", "index": index, "status": code})

    def _write(self, command: Mapping[str, Any]) -> int:
        """Run one writer; `RETURNED` when it did, else 1 with the reason in the report file."""
        assert self._project is not None  # noqa: S101 - the parent loads before it runs
        assert self._source is not None  # noqa: S101
        os.environ[RUN_MARKER] = command["marker"]
        loaded = self._project.components[command["index"]]
        try:
            result = self._source.write_state(loaded, Path(command["state_path"]))
            if inspect.isawaitable(result):
                import asyncio

                asyncio.run(_wait_for(result))
        except BaseException as error:
            report = {"reason": reason_of(error)}
            Path(command["report"]).write_text(json.dumps(report), encoding="utf-8")
            print_trace(error)
            return 1
        return RETURNED


async def _wait_for(result: Any) -> None:
    await result


def _can_fork() -> bool:
    """Whether a fork of this process is sound: Linux, and no second thread that may hold a lock."""
    threading = sys.modules.get("threading")
    alone = threading is None or threading.active_count() == 1
    return sys.platform == "linux" and alone


def _source_error(source: str, error: ImportError) -> DefsStateError:
    return ProjectError(
        f"{source} cannot be imported by {sys.executable}: {error}",
        hint="install what the project depends on into the environment that runs the writers",
    )


def _error_to_json(error: DefsStateError) -> dict[str, Any]:
    location = error.location
    return {
        "type": type(error).__name__,
        "message": error.message,
        "key": error.key,
        "location": [location.file, location.line, location.column] if location else None,
        "hint": error.hint,
        "output": error.output,
    }


def _flush() -> None:
    """Flush what the project printed, if it has left anything that can be flushed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _redirect(log: Path) -> None:
    """Send the file descriptors 1 and 2 to a file, which is emptied first."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


class _output_to:  # noqa: N801 - reads as the statement it is
    """Send the file descriptors 1 and 2 to a file for the time of a block."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> None:
        _flush()
        self._saved = os.dup(1), os.dup(2)
        _redirect(self._log)

    def __exit__(self, *_: object) -> None:
        _flush()
        for number, saved in enumerate(self._saved, 1):
            os.dup2(saved, number)
            os.close(saved)


class _LineReader:
    """Splits what arrives at a file descriptor into lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def lines(self) -> list[bytes]:
        data = os.read(self._descriptor, 1 << 16)
        self.ended = not data
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete


def main() -> None:
    """Serve the parent over the standard input and output."""
    commands = os.dup(0)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    adopt_orphans()
    Host(commands, answers).serve()
