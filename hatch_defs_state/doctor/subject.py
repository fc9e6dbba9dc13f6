"""A project as the checks see it: tolerant of what is missing, so that each can say its own."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hatch_defs_state.doctor.toml_lines import line_of
from hatch_defs_state.errors import SourceLocation
from hatch_defs_state.storage.generation import FOLDER_NAME, MANIFEST_NAME
from hatch_defs_state.tables import HOOK_TABLE, PEX_PLUGIN, TARGET_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hatch_defs_state.project import Project, ProjectConfig
    from hatch_defs_state.settings.model import Settings

PYPROJECT = "pyproject.toml"
WRAP = "pex.build_backend.wrap"
_SKIPPED = frozenset({"node_modules", "__pycache__", "build", "dist", "site-packages", "venv"})


@dataclass(frozen=True)
class Subject:
    """A project under examination.

    Attributes:
        config: What its files say.
        settings: Ours; `None` when they are wrong.
        project: Where its components are; `None` when that cannot be told.
        environment: The environment variables of the examination.
    """

    config: ProjectConfig
    settings: Settings | None
    project: Project | None
    environment: Mapping[str, str]

    @property
    def root(self) -> Path:
        """The project's root folder."""
        return self.config.root

    @functools.cached_property
    def repository(self) -> Path:
        """The folder with `.git`, at or above the root; the root when there is none."""
        above = (self.root, *self.root.parents)
        return next((folder for folder in above if (folder / ".git").exists()), self.root)

    @property
    def outer_folders(self) -> tuple[Path, ...]:
        """The root and the folders above it, up to the repository's."""
        above = (self.root, *self.root.parents)
        return above[: above.index(self.repository) + 1]

    def table(self, *path: str) -> Mapping[str, Any]:
        """Return a table of `pyproject.toml`; an empty one when there is none."""
        return table_at(self.config.pyproject, *path)

    def line(self, *path: str, containing: str = "") -> SourceLocation:
        """Return where `pyproject.toml` says something at `path`."""
        text = read_text(self.root / PYPROJECT)
        return SourceLocation(PYPROJECT, line_of(text, path, containing))

    def show(self, path: Path) -> str:
        """Return a path as locations have it: relative to the root, absolute outside of it."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)

    @property
    def backend(self) -> str:
        """The build back end."""
        return str(self.table("build-system").get("build-backend", "setuptools.build_meta"))

    @property
    def build_requirements(self) -> frozenset[str]:
        """Names of what the build back end requires."""
        listed = self.table("build-system").get("requires", [])
        return frozenset(_names(listed if isinstance(listed, list) else []))

    @property
    def is_hatchling(self) -> bool:
        """Whether hatchling builds the project."""
        return self.backend.startswith("hatchling.")

    @property
    def has_hook(self) -> bool:
        """Whether hatchling runs the hook for wheels."""
        tables = (HOOK_TABLE, TARGET_TABLE)
        return self.is_hatchling and any(has(self.config.pyproject, name) for name in tables)

    @property
    def has_plugin(self) -> bool:
        """Whether the project's own back end is wrapped, and our plugin adds the state."""
        plugins = self.table("tool", "pex", "build_backend").get("plugins", ())
        return self.backend == WRAP and PEX_PLUGIN in plugins

    @property
    def adds_state(self) -> bool:
        """Whether building a wheel puts state into it."""
        return self.has_hook or self.has_plugin

    @property
    def is_frozen(self) -> bool:
        """Whether builds use the state in the tree, as the project says."""
        return self.settings is not None and self.settings.refresh == "frozen"

    @property
    def state_folder(self) -> Path | None:
        """Where the state of the tree lies, or would."""
        return self.project.state_folder if self.project else None

    @functools.cached_property
    def state_files(self) -> tuple[Path, ...]:
        """The files of the tree's state; where there is none, what its files would be like."""
        folder = self.state_folder or self.root / FOLDER_NAME
        return tuple(files_in(folder)) or self.typical_files(folder)

    def typical_files(self, folder: Path) -> tuple[Path, ...]:
        """Return the paths that state has in `folder`, whatever its keys are."""
        names = [MANIFEST_NAME, "component/state"]
        if "dagster-dbt" in _names(self.config.dependencies):
            names.append("component/project/target/manifest.json")
        return tuple(folder / name for name in names)


def table_at(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the table at `path`; an empty one when there is none."""
    node: Any = document
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def has(document: Mapping[str, Any], dotted: str) -> bool:
    """Whether there is a table at a dotted path."""
    *parents, name = dotted.split(".")
    return isinstance(table_at(document, *parents).get(name), dict)


def read_text(path: Path) -> str:
    """Return the content of a text file; nothing when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


def folders_in(folder: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those below it, without hidden ones and those that tools make."""
    yield folder
    if depth:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError:
            return
        for path in below:
            if path.name[0] != "." and path.name not in _SKIPPED and not path.is_symlink():
                yield from folders_in(path, depth - 1)


def _names(requirements: Sequence[Any]) -> Iterator[str]:
    for text in requirements:
        try:
            yield str(canonicalize_name(Requirement(str(text)).name))
        except InvalidRequirement:
            continue
