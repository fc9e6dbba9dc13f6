"""uv's cache of wheels that it built from local projects.

`uv pip install -r`, `uv sync --no-editable`, `uv run` and `uvx` take a wheel from the cache while
the files that `cache-keys` names are unchanged: by default `pyproject.toml` and `src`, never what
the writers read. `uv pip install .` and `uv build` always build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import PYPROJECT, Subject, read_text, table_at
from hatch_defs_state.doctor.toml_lines import line_of
from hatch_defs_state.errors import DefsStateError, SourceLocation
from hatch_defs_state.project import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CODE = "uv-cache"
_UV_FILE = "uv.toml"
_USES = re.compile(r"\buv (sync|run|pip install)\b")
_SCRIPTS = ("Dockerfile", "Makefile", "justfile", ".gitlab-ci.yml", ".github/workflows/*.y*ml")


def check(subject: Subject) -> Iterator[Finding]:
    """Find a project that uv would install from its cache although its state is new."""
    if not subject.adds_state:
        return
    keys = subject.table("tool", "uv").get("cache-keys", ())
    if any(isinstance(key, dict) and "env" in key for key in keys):
        return
    file, options = _configuration(subject)
    if options.get("reinstall") is True or _is_named(subject, options):
        return
    is_pyproject = file.name == PYPROJECT
    line = line_of(read_text(file), ["tool", "uv"]) if is_pyproject else None
    setting = f'reinstall-package = ["{subject.config.name}"]'
    where = f" to {subject.show(file)}"
    if is_pyproject:
        where += ", below [tool.uv]" if line else ", below a new line [tool.uv]"
    yield Finding(
        CODE,
        Severity.PROBLEM if _uses_uv(subject, file) else Severity.ADVICE,
        "`uv sync --no-editable` and `uv pip install -r` install the wheel that uv built before, "
        "with the state of then",
        f"add {setting}{where}",
        SourceLocation(subject.show(file), line),
    )


def _configuration(subject: Subject) -> tuple[Path, Mapping[str, Any]]:
    """Return the file that uv takes its settings from, and those.

    In a workspace it is the root's; else the first one at or above the project that has some. A
    `uv.toml` wins over the `pyproject.toml` beside it.
    """
    found: tuple[Path, Mapping[str, Any]] | None = None
    for folder in subject.outer_folders:
        own = table_at(_read(folder / PYPROJECT), "tool", "uv")
        settings = folder / _UV_FILE
        here: tuple[Path, Mapping[str, Any]] | None = None
        if settings.is_file():
            here = settings, _read(settings)
        elif own:
            here = folder / PYPROJECT, own
        if "workspace" in own:
            return here or (folder / PYPROJECT, own)
        found = found or here
    return found or (subject.root / PYPROJECT, {})


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return read_toml(path)
    except DefsStateError:
        return {}


def _is_named(subject: Subject, options: Mapping[str, Any]) -> bool:
    listed = options.get("reinstall-package", ())
    name = canonicalize_name(subject.config.name)
    return isinstance(listed, list) and name in {canonicalize_name(str(item)) for item in listed}


def _uses_uv(subject: Subject, file: Path) -> bool:
    if file.name == _UV_FILE or (file.parent / "uv.lock").is_file():
        return True
    if (subject.root / "uv.lock").is_file() or "uv" in subject.table("tool"):
        return True
    return any(
        _USES.search(read_text(script))
        for folder in {subject.root, subject.repository}
        for pattern in _SCRIPTS
        for script in folder.glob(pattern)
    )
