"""Which source file lands where in an artifact, and what that says about importing the project."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hatch_defs_state.storage.names import is_state

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Layout", "PackedFile", "is_state"]

_CODE_SUFFIXES = frozenset({".py", ".yaml", ".yml"})


@dataclass(frozen=True)
class PackedFile:
    """A file that an artifact takes in.

    Attributes:
        source: Where it lies now, absolute.
        target: Its path in the artifact, with forward slashes.
    """

    source: Path
    target: str


@dataclass(frozen=True)
class Layout:
    """The files of an artifact, as its builder selects them."""

    files: tuple[PackedFile, ...]

    def below(self, folder: str) -> tuple[PackedFile, ...]:
        """Return the files below `folder` of the artifact, without any state."""
        return tuple(
            file
            for file in self.files
            if file.target.startswith(f"{folder}/") and not is_state(file.target)
        )

    def unwanted(self, cache: Path) -> tuple[str, ...]:
        """Return the targets of files that lie in a state folder of the tree, or in our cache.

        Args:
            cache: The folder of the cache, which may be in the tree: where some services want it.
        """
        below = os.path.join(cache, "")  # noqa: PTH118 - there may be thousands of files
        return tuple(
            file.target
            for file in self.files
            if is_state(file.target) or str(file.source).startswith(below)
        )

    def import_roots(self, scratch: Path) -> tuple[Path, ...]:
        """Return folders from which the artifact's packages are imported as when installed.

        A package that lies in the tree as it will lie in the artifact is imported from the tree.
        One that the artifact puts together (a renamed folder, files from elsewhere) is put
        together from links below `scratch`.
        """
        roots: dict[Path, None] = {}
        for package, files in sorted(self._packages().items()):
            found = {_root_of(file) for file in files}
            root = found.pop() if len(found) == 1 else None
            if root is None:
                root = scratch / "packages"
                _link(self.below(package), root)
            roots[root] = None
        return tuple(roots)

    def _packages(self) -> dict[str, list[PackedFile]]:
        packages: dict[str, list[PackedFile]] = defaultdict(list)
        for file in self.files:
            path = PurePosixPath(file.target)
            code = path.suffix in _CODE_SUFFIXES and not is_state(file.target)
            if code and len(path.parts) > 1 and path.parts[0].isidentifier():
                packages[path.parts[0]].append(file)
        return packages


def _root_of(file: PackedFile) -> Path | None:
    source = file.source.as_posix()
    suffix = f"/{file.target}"
    return Path(source[: -len(suffix)] or "/") if source.endswith(suffix) else None


def _link(files: Iterable[PackedFile], root: Path) -> None:
    for file in files:
        link = root / file.target
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.symlink(file.source, link)  # noqa: PTH211 - both may be on Windows shares
        except FileExistsError:
            continue
        except OSError:
            shutil.copyfile(file.source, link)
