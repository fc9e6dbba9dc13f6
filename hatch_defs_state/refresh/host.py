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

import asyncio
import contextlib
import importlib
import importlib.metadata
import inspect
import json
import os
import select
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hatch_defs_state.errors import DefsStateError, ProjectError, flatten

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from hatch_defs_state.components.declaration import LoadedProject

_NOT_THE_PROJECTS = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))

RUN_MARKER = "DEFS_STATE_RUN"
"""Environment variable that a writer and all that it starts inherit: how they are found again."""


class Host:
    """Answers the parent: `load` once, then `run` any number of times, until the input ends."""

    def __init__(self, commands: int, answers: TextIO) -> None:
        self._commands = commands
        self._answers = answers
        self._children: dict[int, int] = {}
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
                ready = select.select(waiting, [], [])[0] if wakeup is not None else waiting
                if wakeup is not None and wakeup in ready:
                    os.read(wakeup, 4096)
                    self._reap()
                if self._commands in ready:
                    for line in reader.lines():
                        self._obey(json.loads(line))
        finally:
            for pid in self._children:
                _kill_group(pid)

    def _watch_children(self) -> int | None:
        if not hasattr(signal, "SIGCHLD"):
            return None
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        return reading

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
        self._fork = bool(command["fork"]) and _can_fork()
        components = self._project.components if self._project else ()
        return {
            "is": "loaded",
            "components": [component.declaration.to_json() for component in components],
            "errors": [_error_to_json(error) for error in flatten(errors)],
            "warnings": list(self._project.warnings) if self._project else [],
            "fork": self._fork,
            "versions": _versions(command["distributions"]),
        }

    def _fork_writer(self, command: Mapping[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
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
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        self._children[pid] = command["index"]
        self._answer({"is": "started", "index": command["index"], "pid": pid})

    def _reap(self) -> None:
        for pid in list(self._children):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # What the writer left running could still write; its group is killed before the process
            # is collected, while nobody else can have been given its number.
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._answer({"is": "ended", "index": self._children.pop(pid), "status": code})

    def _write(self, command: Mapping[str, Any]) -> int:
        """Run one writer; 0 when it returned, else 1 with the reason in the report file."""
        assert self._project is not None  # noqa: S101 - the parent loads before it runs
        assert self._source is not None  # noqa: S101
        os.environ[RUN_MARKER] = command["marker"]
        loaded = self._project.components[command["index"]]
        try:
            result = self._source.write_state(loaded, Path(command["state_path"]))
            if inspect.isawaitable(result):
                asyncio.run(_wait_for(result))
        except BaseException as error:
            _print_trace(error)
            Path(command["report"]).write_text(json.dumps(_reason(error)), encoding="utf-8")
            return 1
        return 0


async def _wait_for(result: Any) -> None:
    await result


def _can_fork() -> bool:
    """Whether a fork of this process is sound: Linux, and no second thread that may hold a lock."""
    return sys.platform == "linux" and threading.active_count() == 1


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


def _versions(distributions: list[str]) -> dict[str, str]:
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in distributions:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _reason(error: BaseException) -> dict[str, str]:
    if isinstance(error, SystemExit):
        return {"reason": f"called sys.exit({error.code!r})"}
    text = str(error).strip().splitlines()
    return {"reason": f"raised {type(error).__name__}" + (f": {text[0]}" if text else "")}


def _print_trace(error: BaseException) -> None:
    """Print where `error` was raised, from the first line of the project's code on."""
    if isinstance(error, SystemExit):
        return
    if error.__cause__ is not None:
        _print_trace(error.__cause__)
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(_NOT_THE_PROJECTS):
        frames.pop(0)
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    sys.stderr.write("".join(lines))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _redirect(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


class _output_to:  # noqa: N801 - reads as the statement it is
    """Send the file descriptors 1 and 2 to a file for the time of a block."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = os.dup(1), os.dup(2)
        _redirect(self._log)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
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
    Host(commands, answers).serve()
