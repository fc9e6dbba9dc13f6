"""A project on disk: its root, its configuration, its defs folder, and where its state lives."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from hatch_defs_state import tables
from hatch_defs_state.errors import ProjectError, SourceLocation
from hatch_defs_state.import_roots import import_roots
from hatch_defs_state.storage.generation import FOLDER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hatch_defs_state.settings.model import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DG_FILE = "dg.toml"
_HATCH_FILE = "hatch.toml"


class Framework(str, Enum):
    """Whose components a project has; the value names the module that loads them."""

    PLAIN = "hatch_defs_state.components.source"
    DAGSTER = "hatch_defs_state.dagster.source"


@dataclass(frozen=True)
class ProjectConfig:
    """What the files in a project's root say.

    Attributes:
        root: The folder of `pyproject.toml` or `dg.toml`, absolute.
        pyproject: Content of `pyproject.toml`, with that of `hatch.toml` in its place below
            `tool.hatch`; empty when there is none.
        dg: Dagster's project table (`[tool.dg.project]`, or `[project]` in `dg.toml`); `None` when
            the project is not Dagster's.
    """

    root: Path
    pyproject: Mapping[str, Any]
    dg: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The project's name as published; the root's name when none is given."""
        return str(self.pyproject.get("project", {}).get("name", self.root.name))

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The dependencies; none when they are dynamic and not resolved."""
        listed = self.pyproject.get("project", {}).get("dependencies", [])
        return tuple(item for item in listed if isinstance(item, str))

    @property
    def extras(self) -> Mapping[str, Sequence[str]]:
        """The optional dependencies by extra; likewise."""
        listed = self.pyproject.get("project", {}).get("optional-dependencies", {})
        return listed if isinstance(listed, dict) else {}

    def resolved(
        self, dependencies: Sequence[str], extras: Mapping[str, Sequence[str]]
    ) -> ProjectConfig:
        """Return the configuration with what a build back end found the project to require."""
        required = {"dependencies": list(dependencies), "optional-dependencies": dict(extras)}
        project = {**self.pyproject.get("project", {}), **required}
        return replace(self, pyproject={**self.pyproject, "project": project})

    @property
    def framework(self) -> Framework:
        """Whose components the project has."""
        return Framework.PLAIN if self.dg is None else Framework.DAGSTER


@dataclass(frozen=True)
class Project:
    """A project whose defs folder is known.

    Attributes:
        config: What its files say.
        root_module: Dotted name of the package that holds everything.
        defs_module: Dotted name of the module whose folder holds the components.
        defs_folder: That folder.
        import_roots: Folders that make the project importable, in order.
        tree_folder: The defs folder in the source tree, where `defs_folder` only mirrors it.
    """

    config: ProjectConfig
    root_module: str
    defs_module: str
    defs_folder: Path
    import_roots: tuple[Path, ...]
    tree_folder: Path | None = None

    @property
    def root(self) -> Path:
        """The project's root folder."""
        return self.config.root

    @property
    def state_folder(self) -> Path:
        """Where the generation of the source tree lives."""
        return (self.tree_folder or self.defs_folder) / FOLDER_NAME


def discover(start: Path) -> ProjectConfig:
    """Read the configuration of the project that `start` belongs to.

    Raises:
        ProjectError: Neither `start` nor a folder above it has a `pyproject.toml` or `dg.toml`.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() or (folder / DG_FILE).is_file():
            return read_config(folder)
    raise ProjectError(
        f"no pyproject.toml or {DG_FILE} in {start} or above it",
        hint="run the command in a project, or name one with --project",
    )


def read_config(root: Path) -> ProjectConfig:
    """Read `pyproject.toml`, `hatch.toml` and `dg.toml` in `root`.

    As in hatchling (`ProjectMetadata.hatch` in `hatchling.metadata.core`), a table of `hatch.toml`
    replaces the one of the same name below `tool.hatch`.

    Dagster's own rule decides whether the project is Dagster's (`locate_dg_config_in_folder` in
    `dagster_shared.utils.config`): a `dg.toml`, or a `[tool.dg]` table; a workspace is no project.

    Raises:
        ProjectError: A file is no TOML.
    """
    root = root.absolute()
    pyproject = read_toml(root / "pyproject.toml")
    dg_file = read_toml(root / DG_FILE)
    tool = pyproject.get("tool", {})
    hatch_file = read_toml(root / _HATCH_FILE)
    if hatch_file and isinstance(tool, dict):
        pyproject["tool"] = {**tool, "hatch": {**tool.get("hatch", {}), **hatch_file}}
    dg = dg_file or (tool.get("dg") if isinstance(tool, dict) else None)
    dg_project = dg.get("project") if isinstance(dg, dict) else None
    return ProjectConfig(root, pyproject, dg_project if isinstance(dg_project, dict) else None)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; nothing when there is none.

    Raises:
        ProjectError: It is no TOML.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", location=SourceLocation(path.name)) from None
    return content


def file_settings(
    config: ProjectConfig, hook_table: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Read the settings in `pyproject.toml`.

    Args:
        config: The project's configuration.
        hook_table: The hook's table as hatchling has put it together, when it is hatchling that
            asks; else the table in `pyproject.toml` is read.

    Raises:
        DefsStateError: Unknown or ill-typed settings, or two tables that both have some.
    """
    return tables.read(config.pyproject, hook_table)


def default_import_roots(config: ProjectConfig) -> tuple[Path, ...]:
    """Return the folders that hold packages: what the build back end is told, `src`, the root."""
    return import_roots(config.root, config.pyproject)


def locate(
    config: ProjectConfig, settings: Settings, import_roots: Sequence[Path] | None = None
) -> Project:
    """Find the defs folder of a project.

    The module is the setting `defs-module`, else what Dagster's configuration says, else the module
    `defs` of the package named like the project, else the only package with a `defs` folder.

    Args:
        config: The project's configuration.
        settings: Ours.
        import_roots: Folders that make the project importable; the common ones by default.

    Raises:
        ProjectError: The defs module is not there, or which one it is cannot be told.
    """
    roots = tuple(import_roots) if import_roots is not None else default_import_roots(config)
    defs_module = settings.defs_module or _module_of_dagster(config) or _only_module(config, roots)
    root_module = str((config.dg or {}).get("root_module") or defs_module.split(".")[0])
    for root in roots:
        folder = root.joinpath(*defs_module.split("."))
        if folder.is_dir():
            return Project(config, root_module, defs_module, folder, roots)
    raise ProjectError(
        f"the defs module {defs_module} is not a folder of packages in "
        f"{', '.join(_show(root, config) for root in roots)}",
        location=SourceLocation("pyproject.toml"),
        hint=(
            "check root_module and defs_module under [tool.dg.project]"
            if config.dg is not None and settings.defs_module is None
            else f"set defs-module under [{tables.place(config.pyproject)}]"
        ),
    )


def _module_of_dagster(config: ProjectConfig) -> str | None:
    if config.dg is None:
        return None
    if config.dg.get("defs_module"):
        return str(config.dg["defs_module"])
    if config.dg.get("root_module"):
        return f"{config.dg['root_module']}.defs"
    raise ProjectError(
        "Dagster's project table has neither root_module nor defs_module",
        location=SourceLocation("pyproject.toml"),
    )


def _only_module(config: ProjectConfig, roots: Sequence[Path]) -> str:
    own = re.sub(r"[-_.]+", "_", config.name).lower()
    found = sorted({name for root in roots for name in _packages_with_defs(root)})
    if own in found:
        return f"{own}.defs"
    if len(found) == 1:
        return f"{found[0]}.defs"
    if not found:
        raise ProjectError(
            f"no package with a folder `defs` in {', '.join(_show(r, config) for r in roots)}",
            location=SourceLocation("pyproject.toml"),
            hint="put the components into a folder `defs` in the package, or set defs-module under "
            f"[{tables.place(config.pyproject)}] to the module that holds them",
        )
    raise ProjectError(
        f"several packages have a folder `defs`: {', '.join(found)}",
        location=SourceLocation("pyproject.toml"),
        hint=f"set defs-module under [{tables.place(config.pyproject)}] to one of them",
    )


def _packages_with_defs(root: Path) -> Iterator[str]:
    if root.is_dir():
        for package in root.iterdir():
            if package.name.isidentifier() and (package / "defs").is_dir():
                yield package.name


def _show(path: Path, config: ProjectConfig) -> str:
    return (
        path.relative_to(config.root).as_posix() if path.is_relative_to(config.root) else str(path)
    )
