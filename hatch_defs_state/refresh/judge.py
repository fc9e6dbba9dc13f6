"""Judging what a writer left in its folder, before any of it is used."""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from hatch_defs_state.errors import DefsStateError, SettingsError, StateError, raise_all
from hatch_defs_state.storage.generation import FilesBelow, measure
from hatch_defs_state.storage.keys import comparable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.components.declaration import ComponentDeclaration
    from hatch_defs_state.storage.measure import FileEntry

STATE_NAME = "state"


@dataclass(frozen=True)
class JudgedState:
    """Acceptable state of one key.

    Attributes:
        files: Measured files by path below the key's folder, with forward slashes.
        paths: Where each of them lies.
    """

    files: dict[str, FileEntry]
    paths: Mapping[str, Path]


def judge(folder: Path, declaration: ComponentDeclaration, exclude: tuple[str, ...]) -> JudgedState:
    """Collect the files of a key's folder.

    Links inside the folder are followed: archives hold files only. Empty folders are left out.

    Args:
        folder: What the writer was given the folder of.
        declaration: The component, for errors.
        exclude: Patterns, as in `.gitignore`, relative to the folder.

    Raises:
        DefsStateError: Everything that is not acceptable.
    """
    walk = _Walk(folder, compile_exclude(exclude), declaration)
    if folder.is_symlink():
        walk.complain("the writer has put a link in the place of its folder")
    else:
        walk.enter_top()
    walk.complain_of_equal_names()
    if not any(path == STATE_NAME or path.startswith(f"{STATE_NAME}/") for path in walk.found):
        if (folder / STATE_NAME).is_file():
            walk.complain("its file `state` is excluded by the setting `exclude`")
        elif not walk.errors:
            walk.complain("the writer returned and left no state behind")
    raise_all(walk.errors)
    try:
        files = {path: measure(folder / path) for path in sorted(walk.found)}
        return JudgedState(files, FilesBelow(folder, files))
    except OSError as error:
        walk.complain(f"the state cannot be read: {error.strerror}")
        raise walk.errors[0] from error


@functools.lru_cache(maxsize=8)
def compile_exclude(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    """Return the matcher of the setting `exclude`.

    Raises:
        SettingsError: A pattern is none.
    """
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise SettingsError(f"exclude: {error}") from error


@dataclass
class _Walk:
    folder: Path
    exclude: GitIgnoreSpec
    declaration: ComponentDeclaration
    found: list[str] = field(default_factory=list)
    errors: list[DefsStateError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._real = os.path.realpath(self.folder)

    def complain(self, message: str) -> None:
        self.errors.append(
            StateError(message, key=self.declaration.key, location=self.declaration.location)
        )

    def complain_of_equal_names(self) -> None:
        """Refuse names that are one name where case does not count."""
        first: dict[str, str] = {}
        for path in self.found:
            other = first.setdefault(comparable(path), path)
            if other != path:
                self.complain(f"{path} and {other} are one file where case does not count")

    def enter_top(self) -> None:
        """Look at everything in the folder."""
        self._enter(str(self.folder), "", self._real, ())

    def _enter(self, folder: str, prefix: str, real: str, above: tuple[str, ...]) -> None:
        if real in above:
            self.complain(f"the link {prefix.rstrip('/')} leads back to a folder above it")
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            self.complain(f"{prefix or self.folder.name} cannot be read: {error.strerror}")
            return
        for entry in entries:
            self._visit(entry, prefix + entry.name, (*above, real))

    def _visit(self, entry: os.DirEntry[str], path: str, above: tuple[str, ...]) -> None:
        # A link to a folder is matched as both: `.venv/` means it as well.
        is_folder = entry.is_dir()
        if self.exclude.match_file(path) or (is_folder and self.exclude.match_file(f"{path}/")):
            return
        if not _is_portable(entry.name):
            self.complain(f"the file name {path!r} cannot be stored in an archive")
            return
        if entry.is_symlink() and not self._stays_inside(entry, path):
            return
        if is_folder:
            real = os.path.join(above[-1], entry.name)  # noqa: PTH118 - thousands of them
            if entry.is_symlink():
                real = os.path.realpath(entry.path)
            self._enter(entry.path, f"{path}/", real, above)
        elif entry.is_file():
            if os.access(entry.path, os.R_OK):
                self.found.append(path)
            else:
                self.complain(f"{path} cannot be read: its mode denies it")
        else:
            kind = stat.filemode(entry.stat().st_mode)[0]
            names = {"p": "a named pipe", "s": "a socket", "c": "a device", "b": "a device"}
            self.complain(f"{path} is {names.get(kind, 'no regular file')}, not a file")

    def _stays_inside(self, entry: os.DirEntry[str], path: str) -> bool:
        target = os.readlink(entry.path)  # noqa: PTH115 - shown as the writer wrote it
        real = Path(os.path.realpath(entry.path))
        if not real.is_relative_to(self._real):
            self.complain(f"{path} is a link that leaves the state folder: it points to {target}")
        elif not real.exists():
            self.complain(f"{path} is a link to {target}, which does not exist")
        else:
            return True
        return False


def _is_portable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not any(character in "\\\0" or ord(character) < ord(" ") for character in name)
