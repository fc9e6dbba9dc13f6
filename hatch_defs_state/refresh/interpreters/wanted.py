"""What goes into a managed environment, and the digest of all that."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hatch_defs_state.errors import InterpreterError
from hatch_defs_state.refresh.installed import normal_name
from hatch_defs_state.refresh.interpreters.locks import PYLOCK, UV_LOCK, Lock, find_lock
from hatch_defs_state.refresh.interpreters.satisfied import Installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hatch_defs_state.project import ProjectConfig
    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.settings.model import Settings

SCHEMA = 1
_OWN_NAME = "hatch-defs-state"
_PIN = re.compile(r"(?:cpython[-@]?)?(3\.[1-9]\d(?:\.\d+)?)")


@dataclass(frozen=True)
class Python:
    """The Python of an environment.

    Attributes:
        request: Path of an interpreter; or what uv is to look for, as a range of versions.
        identity: What tells it from others.
    """

    request: str
    identity: str


@dataclass(frozen=True)
class Wanted:
    """What goes into a managed environment.

    Attributes:
        root: The project's root.
        project: Its normalised name.
        requirements: What writers need, by the project's metadata.
        features: Extras of the project, which a lock has, too.
        groups: Dependency groups, likewise.
        lock: The lock that it is made from; the metadata is used when there is none.
        uv: Path of uv; `None` when it is not on the machine.
        python: Its Python.
    """

    root: Path
    project: str
    requirements: tuple[str, ...]
    features: tuple[str, ...]
    groups: tuple[str, ...]
    lock: Lock | None
    uv: str | None
    python: Python

    @classmethod
    def by(cls, config: ProjectConfig, settings: Settings, requirements: Sequence[str]) -> Wanted:
        """Return what the writers of a project need.

        A `uv.lock` is used only where uv is: nothing else reads it.

        Raises:
            InterpreterError: The project does not allow this Python, and there is no uv.
        """
        uv, lock = find_uv(), find_lock(config)
        if lock is not None and lock.name == UV_LOCK and uv is None:
            lock = None
        return cls(
            root=config.root,
            project=normal_name(config.name),
            requirements=tuple(requirements),
            features=settings.features,
            groups=settings.groups,
            lock=lock,
            uv=uv,
            python=_python(config, uv, [config.root, *([lock.path.parent] if lock else [])]),
        )

    @property
    def source(self) -> str:
        """What it is made from, for people."""
        return self.lock.name if self.lock is not None else "the project's metadata"

    @functools.cached_property
    def digest(self) -> str:
        """Sha256 over everything that decides about the content, in hexadecimal."""
        lock = self.lock
        content = {
            "schema": SCHEMA,
            "installer": "pip" if self.uv is None else "uv",
            "python": self.python.identity,
            "platform": sysconfig.get_platform(),
            "project": self.project,
            "requirements": sorted(self.requirements),
            "features": sorted(self.features),
            "groups": sorted(self.groups),
            "lock": lock and [lock.name, hashlib.sha256(lock.path.read_bytes()).hexdigest()],
            "local": self._local(),
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _local(self) -> list[object]:
        """Return the folders on this machine that packages come from, and what is copied of it."""
        if self.lock is not None:
            others = [each for each in self.lock.local_folders() if each[0] != self.root]
        else:
            urls = (re.search(r"@\s*(file:[^\s;]+)", text) for text in self.requirements)
            others = [(Path(unquote(urlsplit(url[1]).path)), True) for url in urls if url]
        return [[str(path), list(_files(path)) if copied else None] for path, copied in others]

    def lines(self, interpreter: Interpreter) -> tuple[list[str], list[str]]:
        """Return the lines of a requirements file, and options for the one that installs them.

        Raises:
            DefsStateError: The lock cannot be used.
        """
        if self.lock is not None and self.lock.name == PYLOCK:
            from hatch_defs_state.refresh.interpreters.pylock import requirement_lines

            return requirement_lines(self, self.lock, interpreter), ["--no-deps"]
        return self._without_ourselves(), []

    def _without_ourselves(self) -> list[str]:
        """Replace our own distribution by what it requires: writers run with the code that is here.

        It may also be a version that no index has.
        """
        from packaging.requirements import InvalidRequirement, Requirement

        found = []
        for text in self.requirements:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                found.append(text)
                continue
            installed = Installed()
            if normal_name(requirement.name) != _OWN_NAME or not installed.version(_OWN_NAME):
                found.append(text)
            elif requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                found.extend(_needed(installed.requires(_OWN_NAME), requirement.extras))
        return found


def _needed(requirements: Sequence[str], extras: set[str]) -> Iterator[str]:
    """Return those of our requirements that hold for some extras, without what says so."""
    from packaging.requirements import Requirement

    for text in requirements:
        marker = Requirement(text).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield text.partition(";")[0].strip()


def find_uv() -> str | None:
    """Return the path of uv: the one that runs this build, beside the interpreter, or in PATH."""
    running = os.environ.get("UV")
    if running and os.access(running, os.X_OK):
        return running
    return which("uv")


def which(tool: str) -> str | None:
    """Return the path of a tool beside the interpreter, else in PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(tool, path=beside) or shutil.which(tool)


def _python(config: ProjectConfig, uv: str | None, places: Sequence[Path]) -> Python:
    """Return the Python of a project's environment.

    It is that of the build, unless `.python-version` names another that uv finds, or
    `requires-python` excludes it.
    """
    own = ".".join(map(str, sys.version_info[:3]))
    pin = next(filter(None, map(_pin, places)), None)
    if uv is not None and pin and not f"{own}.".startswith(f"{pin}."):
        command = [uv, "python", "find", "--no-project", pin]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip():
            return Python(found.stdout.strip(), f"{pin} {found.stdout.strip()}")
    required = config.pyproject.get("project", {}).get("requires-python")
    if required and not _allows(str(required), own):
        if uv is None:
            raise InterpreterError(
                f"the project requires Python {required}, and this one is {own}",
                hint="build with a Python that the project allows; or install uv, which finds or "
                "fetches one",
            )
        return Python(str(required), str(required))
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    return Python(base, f"{sys.implementation.name} {own} {base}")


def _pin(folder: Path) -> str | None:
    try:
        text = (folder / ".python-version").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    match = _PIN.fullmatch(text.splitlines()[0].strip()) if text else None
    return match[1] if match else None


def _allows(required: str, version: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(required).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Return the files below a folder with their sizes and times; a file is one, too."""
    if folder.is_file():
        status = folder.stat()
        yield "", status.st_size, status.st_mtime_ns
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name != "__pycache__"
        )
        for name in sorted(names):
            path = Path(parent, name)
            try:
                status = path.stat()
            except OSError:
                continue
            yield str(path.relative_to(folder)), status.st_size, status.st_mtime_ns
