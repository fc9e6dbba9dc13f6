"""Versions of pex that pack a wheel which they built from the same project before.

From 2.1.134 to 2.61.0, `pex .` takes the wheel of an unchanged tree from the cache; 2.61.1 builds
it anew.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import PYPROJECT, Subject, read_text
from hatch_defs_state.errors import DefsStateError, SourceLocation
from hatch_defs_state.project import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "old-pex"
FIXED = Version("2.61.1")
_BROKEN = Version("2.1.134")
_LATER = tuple(f"2.{minor}.{patch}" for minor in range(61, 300) for patch in range(1, 4))
_LOCKS = ("uv.lock", "pylock.toml", "poetry.lock")
_HARM = "may pack a wheel that it built before, with the state of then, when the code is unchanged"


def check(subject: Subject) -> Iterator[Finding]:
    """Find such a pex in this environment, on the search path, and in what the project pins."""
    yield from _installed(subject)
    for location, text in _requirements(subject):
        if _admits_none_that_is_fixed(text):
            message = f"{text} {_HARM}"
            yield Finding(CODE, Severity.PROBLEM, message, f"require pex>={FIXED}", location)
    for name in _LOCKS:
        yield from _locked(subject, subject.root / name)


def _installed(subject: Subject) -> Iterator[Finding]:
    found: dict[str, str] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        found[metadata.version("pex")] = "in this environment"
    program = shutil.which("pex", path=subject.environment.get("PATH"))
    if program:
        found.setdefault(_ask(program), f"at {program}")
    for version, place in found.items():
        if is_broken(version):
            fix = f"install pex>={FIXED}"
            message = f"pex {version} {place} {_HARM}"
            yield Finding(CODE, Severity.PROBLEM, message, fix)


def _ask(program: str) -> str:
    try:
        result = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return result.stdout.strip()


def _requirements(subject: Subject) -> Iterator[tuple[SourceLocation, str]]:
    """Yield what the project's files require, and where they say so."""
    lists: dict[tuple[str, ...], Any] = {
        ("build-system", "requires"): subject.table("build-system").get("requires"),
        ("project", "dependencies"): subject.config.dependencies,
        **{
            ("project", "optional-dependencies", name): listed
            for name, listed in subject.table("project", "optional-dependencies").items()
        },
        **{
            ("dependency-groups", name): listed
            for name, listed in subject.table("dependency-groups").items()
        },
    }
    for path, listed in lists.items():
        for item in listed if isinstance(listed, (list, tuple)) else ():
            if isinstance(item, str) and _is_pex(item):
                yield subject.line(*path, containing=item), item
    for file in sorted(subject.root.glob("*requirements*.txt")):
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            item = re.sub(r"(^|\s)(#|--hash).*|\\$", "", line).strip()
            if _is_pex(item):
                yield SourceLocation(file.name, number), item


def _locked(subject: Subject, file: Path) -> Iterator[Finding]:
    try:
        document: dict[str, Any] = read_toml(file)
    except DefsStateError:
        return
    packages = document.get("package", document.get("packages", []))
    for package in packages if isinstance(packages, list) else []:
        version = str(package.get("version", ""))
        if package.get("name") == "pex" and is_broken(version):
            lines = read_text(file).splitlines()
            at = next((n for n, line in enumerate(lines) if line.strip() == 'name = "pex"'), None)
            yield Finding(
                CODE,
                Severity.PROBLEM,
                f"the locked pex {version} {_HARM}",
                f"require pex>={FIXED} in {PYPROJECT}, and lock anew",
                SourceLocation(subject.show(file), None if at is None else at + 1),
            )


def _is_pex(text: str) -> bool:
    try:
        return canonicalize_name(Requirement(text).name) == "pex"
    except InvalidRequirement:
        return False


def _admits_none_that_is_fixed(text: str) -> bool:
    """Whether a requirement is met by no version from `FIXED` on."""
    specifiers = Requirement(text).specifier
    for specifier in specifiers:
        if specifier.operator in {"==", "==="} and not specifier.version.endswith(".*"):
            return is_broken(specifier.version)
    return not any(specifiers.contains(version) for version in (str(FIXED), *_LATER, "3.0", "99"))


def is_broken(version: str) -> bool:
    """Whether that version of pex packs what it built before."""
    try:
        return _BROKEN <= Version(version) < FIXED
    except InvalidVersion:
        return False
