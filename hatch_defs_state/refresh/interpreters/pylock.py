"""`pylock.toml` (PEP 751) as lines of a requirements file, which every installer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import InterpreterError
from hatch_defs_state.refresh.installed import normal_name

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.refresh.interpreters.interpreter import Interpreter
    from hatch_defs_state.refresh.interpreters.locks import Lock
    from hatch_defs_state.refresh.interpreters.wanted import Wanted


def requirement_lines(wanted: Wanted, lock: Lock, interpreter: Interpreter) -> list[str]:
    """Return what a lock has for an environment, without the project itself.

    Args:
        wanted: Names the features and groups.
        lock: The file.
        interpreter: That of the environment.

    Raises:
        DefsStateError: The lock is not valid, or has nothing for this interpreter.
    """
    try:
        from packaging.markers import default_environment
        from packaging.pylock import Pylock, PylockSelectError, PylockValidationError
        from packaging.tags import compatible_tags, cpython_tags
    except ImportError:
        raise InterpreterError(
            f"{lock.name} cannot be read by the version of `packaging` that is installed",
            hint="install packaging 26.1 or newer where the build runs",
        ) from None
    release = tuple(map(int, interpreter.version.split(".")[:2]))
    environment: Any = {
        **default_environment(),
        "python_version": ".".join(map(str, release)),
        "python_full_version": interpreter.version,
    }
    try:
        selected = Pylock.from_dict(lock.read()).select(
            environment=environment,
            tags=[*cpython_tags(release), *compatible_tags(release)],
            extras=wanted.features,
            dependency_groups=wanted.groups,
        )
        pairs = [
            _line(package, source, lock.path.parent)
            for package, source in selected
            if normal_name(package.name) != wanted.project
        ]
    except (PylockValidationError, PylockSelectError) as error:
        raise InterpreterError(f"{lock.name} cannot be used: {error}") from None
    # One line without hashes, as of a local folder, and pip refuses those that have some.
    hashed = all(hashes for _, hashes in pairs)
    return [f"{line}{hashes}" if hashed else line for line, hashes in pairs]


def _line(package: Any, source: Any, folder: Path) -> tuple[str, str]:
    """Return a line for one package, and the options with its hashes."""
    kind = type(source).__name__
    if kind == "PackageDirectory":
        return f"--editable {(folder / source.path).as_posix()}", ""
    where = source.url or (folder / source.path).as_uri()
    if kind == "PackageVcs":
        return f"{package.name} @ {source.type}+{where}@{source.commit_id}", ""
    files = [source]
    line = f"{package.name} @ {where}"
    if package.index and package.version and kind != "PackageArchive":
        files = [*(package.wheels or ()), *([package.sdist] if package.sdist else ())]
        line = f"{package.name}=={package.version}"
    hashes = sorted({file.hashes["sha256"] for file in files if "sha256" in file.hashes})
    return line, "".join(f" --hash=sha256:{each}" for each in hashes)
