"""What an image copies, and what `.dockerignore` keeps from it."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pathspec

from hatch_defs_state.doctor.subject import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAMES = ("Dockerfile", "Containerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile")
IGNORE_NAME = ".dockerignore"

# Commands that install a wheel, which has its own state, or make one, where the hook adds state.
_BUILDS = re.compile(
    r"\bpip3? (install|wheel)\b(?!.*\s(-e|--editable)\b)"
    r"[^&|;]*\s(\.|\./\S*|/\S+|\S+\.whl)(\[\S*\])?(\s|$)"
    r"|\buv sync\b.*--no-editable|\b(uv|hatch|hatchling|poetry|pdm|python3? -m) build\b"
    r"|\bdefs-state (refresh|pex)\b"
)
_FROZEN = re.compile(r"DEFS_STATE_REFRESH[= ]\"?frozen|--refresh[= ]frozen")


@dataclass(frozen=True)
class Copy:
    """A `COPY` or `ADD` from the build context.

    Attributes:
        source: Path in the context, without slashes at its ends; empty for all of it.
        target: Path in the image.
    """

    source: str
    target: str


@dataclass(frozen=True)
class Dockerfile:
    """What the file of an image says.

    Attributes:
        path: Where it lies.
        copies: What it takes from the context.
        builds: Whether it makes a wheel, to which the hook adds state, from what it copied.
    """

    path: Path
    copies: tuple[Copy, ...]
    builds: bool


def dockerfiles_in(folder: Path) -> Iterator[Dockerfile]:
    """Yield the images that are described in a folder."""
    paths = {path for name in _NAMES for path in folder.glob(name) if path.is_file()}
    for path in sorted(paths):
        if path.suffix != IGNORE_NAME:
            yield parse(path, read_text(path))


def parse(path: Path, text: str) -> Dockerfile:
    """Read the instructions that matter here."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    instructions = re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines()
    copies: list[Copy] = []
    commands: list[str] = []
    for instruction in instructions:
        name, _, rest = instruction.strip().partition(" ")
        if name.upper() in {"COPY", "ADD"}:
            copies.extend(_copies(rest))
        elif name.upper() in {"RUN", "ENV", "ARG"}:
            commands.append(rest)
    frozen = any(map(_FROZEN.search, commands))
    return Dockerfile(path, tuple(copies), not frozen and any(map(_BUILDS.search, commands)))


def _copies(rest: str) -> Iterator[Copy]:
    if re.search(r"--from[= ]", rest):
        return
    rest = re.sub(r"^(\s*--\S+)+\s*", "", rest).strip()
    try:
        parts = json.loads(rest) if rest.startswith("[") else rest.split()
    except ValueError:
        return
    for source in parts[:-1]:
        path = posixpath.normpath(source).strip("/")
        yield Copy("" if path == "." else path, parts[-1])


@dataclass(frozen=True)
class Ignore:
    """A `.dockerignore`.

    Attributes:
        path: Where it lies: in the build context's folder, as a rule.
        lines: Its lines.
    """

    path: Path
    lines: tuple[str, ...]

    def hiding(self, path: str) -> int | None:
        """Return the number of the line that keeps a file of the context out, counted from 1.

        Patterns are anchored at the context, and the last one that matches decides, also on what is
        in a folder that an earlier one excludes: this is how Docker differs from git.
        """
        decisive = None
        for number, line in enumerate(self.lines, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            keeps = text.startswith("!")
            pattern = posixpath.normpath(text.lstrip("!").strip()).strip("/")
            spec = pathspec.GitIgnoreSpec.from_lines([f"/{pattern}" if pattern != "." else "/*"])
            if spec.match_file(path):
                decisive = None if keeps else number
        return decisive


def ignore_of(dockerfile: Path | None, folder: Path) -> Ignore | None:
    """Return the ignore file that holds for an image: its own one, else the folder's."""
    own = [] if dockerfile is None else [dockerfile.with_name(dockerfile.name + IGNORE_NAME)]
    for path in (*own, folder / IGNORE_NAME):
        if path.is_file():
            return Ignore(path, tuple(read_text(path).splitlines()))
    return None
