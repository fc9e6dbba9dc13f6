"""Whether this environment has what requirements ask for, and what those ask for in turn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.refresh.installed import normal_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.requirements import Requirement


class Installed:
    """The distributions on a module search path.

    `importlib.metadata` looks for one name at a time and parses the metadata as a message, which
    takes ten times as long; it is asked for what has no `.dist-info` folder.
    """

    def __init__(self, folders: Sequence[str] | None = None) -> None:
        self._folders: dict[str, tuple[str, Path]] = {}
        for folder in reversed(sys.path if folders is None else folders):
            try:
                names = os.listdir(folder or ".")  # noqa: PTH208 - names are all that is needed
            except OSError:
                continue
            for name in names:
                if name.endswith(".dist-info"):
                    project, _, version = name.removesuffix(".dist-info").partition("-")
                    self._folders[normal_name(project)] = version, Path(folder, name)

    def version(self, name: str) -> str | None:
        """Return the version of a distribution; `None` when it is not installed."""
        if name in self._folders:
            return self._folders[name][0]
        import importlib.metadata

        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def requires(self, name: str) -> list[str]:
        """Return what an installed distribution requires."""
        if name not in self._folders:
            import importlib.metadata

            return importlib.metadata.requires(name) or []
        found = []
        text = self._read(name, "METADATA") or ""
        for line in text.splitlines():
            if not line.strip():
                break
            field, _, value = line.partition(":")
            if field.lower() == "requires-dist":
                found.append(value.strip())
        return found

    def origin(self, name: str) -> Mapping[str, object] | None:
        """Return from which URL a distribution was installed (PEP 610), where it was from one."""
        text = self._read(name, "direct_url.json") if name in self._folders else None
        try:
            document = json.loads(text) if text else None
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def _read(self, name: str, file: str) -> str | None:
        try:
            return (self._folders[name][1] / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None


def first_missing(requirements: Sequence[str], folders: Sequence[str] | None = None) -> str | None:
    """Return the first requirement that is not fulfilled, those of requirements included.

    Args:
        requirements: Requirements; what is none counts as one that is not fulfilled.
        folders: Where distributions are installed; the module search path by default.
    """
    if not requirements:
        return None
    from packaging.markers import default_environment
    from packaging.requirements import InvalidRequirement, Requirement

    environment = {str(name): str(value) for name, value in default_environment().items()}
    installed = Installed(folders)
    rest: list[tuple[str, str]] = [(text, "") for text in reversed(requirements)]
    seen = set(rest)
    while rest:
        text, extra = rest.pop()
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return text
        marker = requirement.marker
        if marker is not None and not marker.evaluate(environment | {"extra": extra}):
            continue
        name = normal_name(requirement.name)
        if not _is_fulfilled(requirement, name, installed):
            return text.partition(";")[0].strip()
        for each in installed.requires(name):
            for wanted in ("", *sorted(map(normal_name, requirement.extras))):
                # Most requirements stand alone; the others say for which extra they are.
                if (wanted == "" or "extra" in each) and (each, wanted) not in seen:
                    seen.add((each, wanted))
                    rest.append((each, wanted))
    return None


def _is_fulfilled(requirement: Requirement, name: str, installed: Installed) -> bool:
    version = installed.version(name)
    if version is None:
        return False
    if requirement.url is not None:
        return _is_from(requirement.url, installed.origin(name))
    return requirement.specifier.contains(version, prereleases=True)


def _is_from(url: str, origin: Mapping[str, object] | None) -> bool:
    """Whether `origin` describes an installation from `url`."""
    if origin is None:
        return False
    wanted = url.partition("#")[0]
    repository = origin.get("vcs_info")
    if isinstance(repository, dict):
        revision = repository.get("requested_revision")
        found = f"{repository.get('vcs')}+{origin.get('url')}" + (
            f"@{revision}" if revision else ""
        )
    else:
        found = str(origin.get("url"))
    return _without_user(wanted) == _without_user(found)


def _without_user(url: str) -> str:
    """Return a URL without the name and the password, which are not kept where it was installed."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}".rstrip("/")
