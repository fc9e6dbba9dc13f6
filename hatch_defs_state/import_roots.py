"""Where the packages of a project lie, as build back ends are told in `pyproject.toml`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def import_roots(root: Path, pyproject: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that make the packages of a project importable, as far as they exist.

    These are the folders that its build back end is told, then `src`, then the root.

    Args:
        root: The project's root.
        pyproject: Content of `pyproject.toml`.
    """
    told = [root / folder for folder in _told(_Reader(pyproject.get("tool")))]
    found = dict.fromkeys([*told, root / "src"])
    return (*(folder for folder in found if folder != root and folder.is_dir()), root)


class _Reader:
    """A value of a TOML document that need not be what is expected."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, name: str) -> _Reader:
        return _Reader(self.value.get(name) if isinstance(self.value, dict) else None)

    def texts(self) -> Iterator[str]:
        values = self.value if isinstance(self.value, list) else [self.value]
        return (value for value in values if isinstance(value, str))

    def tables(self) -> Iterator[_Reader]:
        values = self.value if isinstance(self.value, list) else []
        return (_Reader(value) for value in values if isinstance(value, dict))

    def pairs(self) -> Iterator[tuple[str, str]]:
        items = self.value.items() if isinstance(self.value, dict) else ()
        return ((name, value) for name, value in items if isinstance(value, str))


def _told(tool: _Reader) -> Iterator[str]:
    setuptools = tool["setuptools"]
    yield from setuptools["packages"]["find"]["where"].texts()
    for package, folder in setuptools["package-dir"].pairs():
        if parent := _parent_of(package, folder):
            yield parent
    for listed in tool["poetry"]["packages"].tables():
        if listed["to"].value is None:
            yield from listed["from"].texts()
    yield from tool["uv"]["build-backend"]["module-root"].texts()
    yield from tool["pdm"]["build"]["package-dir"].texts()


def _parent_of(package: str, folder: str) -> str | None:
    """Return from where `package` is imported when it lies in `folder`; `None` when renamed."""
    names = tuple(package.split(".")) if package else ()
    parts = PurePosixPath(folder).parts
    if parts[len(parts) - len(names) :] != names:
        return None
    return str(PurePosixPath(*parts[: len(parts) - len(names)]))
