"""A project's lock file: where it is, which versions it has, and what it has from local folders."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import ProjectError, SourceLocation
from hatch_defs_state.refresh.installed import normal_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_defs_state.project import ProjectConfig
    from hatch_defs_state.storage.manifest import Manifest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UV_LOCK = "uv.lock"
PYLOCK = "pylock.toml"

# uv writes its lock in one form; a large one takes the parser of TOML 0.1 s and this 3 ms.
_UV_PACKAGE = re.compile(
    r'^\[\[package\]\]\r?\nname = "([^"]+)"\r?\nversion = "([^"]+)"', re.MULTILINE
)
_UV_LOCAL = re.compile(r'^source = \{ (editable|directory|virtual) = "([^"]+)" \}', re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """A lock file.

    Attributes:
        path: The file.
    """

    path: Path

    @property
    def name(self) -> str:
        """What it is called: `uv.lock` or `pylock.toml`."""
        return self.path.name

    def read(self) -> Mapping[str, Any]:
        """Parse it.

        Raises:
            ProjectError: It is no TOML.
        """
        try:
            content: Mapping[str, Any] = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            place = SourceLocation(self.name)
            raise ProjectError(f"not valid TOML: {error}", location=place) from None
        return content

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of each distribution, of which there may be several, by name.

        Raises:
            ProjectError: It is no TOML.
        """
        pairs = []
        if self.name == UV_LOCK:
            pairs = _UV_PACKAGE.findall(self.path.read_text(encoding="utf-8", errors="replace"))
        if not pairs:
            listed = self.read().get("package" if self.name == UV_LOCK else "packages", [])
            pairs = [(p["name"], p["version"]) for p in listed if "name" in p and "version" in p]
        found: dict[str, list[str]] = {}
        for name, version in pairs:
            found.setdefault(normal_name(str(name)), []).append(str(version))
        return found

    def local_folders(self) -> list[tuple[Path, bool]]:
        """Return the folders that it takes packages from, that of its own project included.

        Returns:
            Each with whether its content is copied, so that a later change of it is not seen.
        """
        text = self.path.read_text(encoding="utf-8", errors="replace")
        if self.name == UV_LOCK:
            named = [(name, kind == "directory") for kind, name in _UV_LOCAL.findall(text)]
        elif "directory" in text:
            packages = self.read().get("packages", [])
            folders = [p["directory"] for p in packages if "path" in p.get("directory", {})]
            named = [(folder["path"], False) for folder in folders]
        else:
            named = []
        here = self.path.parent
        return [(Path(os.path.normpath(here / name)), copied) for name, copied in named]


def find_lock(config: ProjectConfig) -> Lock | None:
    """Return the lock of a project: its own, or that of the uv workspace that it is a member of."""
    for name in (UV_LOCK, PYLOCK):
        if (config.root / name).is_file():
            return Lock(config.root / name)
    for parent in config.root.parents:
        if (parent / UV_LOCK).is_file() and _is_member(config.root, parent):
            return Lock(parent / UV_LOCK)
    return None


_NO_WORKSPACE = (OSError, KeyError, TypeError, AttributeError, ValueError, NotImplementedError)
"""What a file raises that says nothing of a workspace: it cannot be read, is no TOML, has other
things where the table would be, or globs that `Path.glob` refuses, absolute or empty ones."""


def _is_member(root: Path, workspace: Path) -> bool:
    try:
        content = tomllib.loads((workspace / "pyproject.toml").read_text(encoding="utf-8"))
        table = content["tool"]["uv"]["workspace"]
        members, exclude = table.get("members", []), table.get("exclude", [])
        return _matches(root, workspace, members) and not _matches(root, workspace, exclude)
    except _NO_WORKSPACE:
        return False


def _matches(root: Path, workspace: Path, globs: list[str]) -> bool:
    return any(root in _expand(workspace, glob) for glob in globs)


def _expand(workspace: Path, glob: str) -> Iterator[Path]:
    return workspace.glob(os.path.normpath(glob))


def differences(config: ProjectConfig, manifest: Manifest) -> tuple[str, ...]:
    """Return where the versions that wrote state are not those of the project's lock.

    Args:
        config: The project's configuration.
        manifest: The state's; it has the versions of what the project requires by itself.

    Returns:
        One clause each, e.g. `dagster 1.13.27 wrote the state, uv.lock has 1.13.20`.

    Raises:
        ProjectError: The lock is no TOML.
    """
    wrote = {pair for entry in manifest.keys.values() for pair in entry.versions.items()}
    lock = find_lock(config) if wrote else None
    if lock is None:
        return ()
    locked = lock.versions()
    return tuple(
        f"{name} {version} wrote the state, {lock.name} has {' and '.join(locked[name])}"
        for name, version in sorted(wrote)
        if name in locked and version not in locked[name]
    )
