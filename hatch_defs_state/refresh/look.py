"""What a state depends on, looked at: labelled parts that can be compared with those of a record.

Imports little, and takes plain values: a build that finds nothing changed needs no more than this.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from hatch_defs_state.refresh.installed import installed_distributions
from hatch_defs_state.storage.measure import measure_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DECLARING = (".yaml", ".yml", ".py")
_MISSING = "missing"


class Subject(NamedTuple):
    """What the state of one component depends on; made of what JSON can say.

    Attributes:
        component_type: Dotted name of its class.
        configuration: Digest of its configuration.
        modules: Files that define its class, relative to the project.
        variables: Names of environment variables.
        globs: Globs of the files that its writer reads, relative to the project.
        folders: Folders likewise, each with the names of those directly in it that do not count.
    """

    component_type: str
    configuration: str
    modules: Sequence[str]
    variables: Sequence[str]
    globs: Sequence[str]
    folders: Sequence[tuple[str, Sequence[str]]]


def common(
    exclude: Sequence[str], version: str | None = None, folders: Sequence[str] | None = None
) -> dict[str, str]:
    """Return what all states depend on: Python, installed distributions, what is excluded.

    Args:
        exclude: The setting.
        version: The version of Python that runs the writers; that of this process by default.
        folders: Where its distributions are installed; the module search path by default.
    """
    return {
        "Python": version or ".".join(map(str, sys.version_info[:3])),
        "setting exclude": digest(json.dumps(exclude).encode()),
        **installed_distributions(folders),
    }


def declared(root: Path, defs_folder: Path, dagster: str) -> dict[str, str]:
    """Return the files that say which components there are.

    Args:
        root: The project's folder.
        defs_folder: The folder of its defs module.
        dagster: Its configuration of Dagster, as text.
    """
    parts = {"configuration of Dagster": dagster}
    for name, path in _walk(defs_folder, root):
        if name.endswith(_DECLARING):
            parts[f"file {name}"] = _digest_file(path)
    return parts


def state(root: Path, salt: str, subject: Subject) -> dict[str, str]:
    """Return what the state of one component depends on.

    Args:
        root: The project's folder.
        salt: Goes into the digests of environment variables, which may be short secrets.
        subject: The component.
    """
    parts = {"type": subject.component_type, "configuration": subject.configuration}
    for module in subject.modules:
        parts[f"module {module}"] = _digest_file(root / module)
    for variable in subject.variables:
        value = os.environ.get(variable)
        text = f"{salt}{variable}={value}"
        parts[f"variable {variable}"] = _MISSING if value is None else digest(text.encode())
    for name, path in _inputs(root, subject):
        parts[f"input {name}"] = _digest_file(path)
    return parts


def digest(data: bytes) -> str:
    """Return the sha256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _inputs(root: Path, subject: Subject) -> Iterator[tuple[str, str]]:
    for glob in subject.globs:
        # Before Python 3.13, two stars at the end are folders only.
        pattern = f"{glob}/*" if glob.endswith("**") else glob
        found = (path for path in sorted(root.glob(pattern)) if path.is_file())
        yield from ((_name(path, root), str(path)) for path in found)
    for folder, without in subject.folders:
        yield from _walk(root / folder, root, without)


def _name(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _walk(folder: Path, root: Path, without: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the files below a folder, each by its path relative to `root` and as it is.

    Links are followed, as whoever loads components follows them; to one folder once, so that none
    leads round in circles.

    In texts: there may be thousands of files, and objects for their paths would take most of the
    time.
    """
    top, name_of_top = str(folder), _name(folder, root)
    linked = {os.path.realpath(top)}
    for parent, folders, names in os.walk(top, followlinks=True):
        skipped = without if parent == top else ()
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name != "__pycache__" and name not in skipped
        )
        folders[:] = [name for name in folders if _is_new(os.path.join(parent, name), linked)]  # noqa: PTH118
        place = (name_of_top + parent[len(top) :]).replace(os.sep, "/").removeprefix("./")
        for name in sorted(names):
            relative = name if place == "." else f"{place}/{name}"
            yield relative, os.path.join(parent, name)  # noqa: PTH118


def _is_new(folder: str, linked: set[str]) -> bool:
    """Whether a folder is none that a link has led to before; remember it if it is a link."""
    if not os.path.islink(folder):  # noqa: PTH114
        return True
    real = os.path.realpath(folder)
    is_new = real not in linked
    linked.add(real)
    return is_new


def _digest_file(path: Path | str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return measure_stream(file).sha256
    except OSError:
        return _MISSING
