"""The check of a whole store: every commit, and every object that is reachable from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    DamagedObjectError,
    DefsStateError,
    StoreFormatError,
    VersionNotFoundError,
)
from hatch_defs_state.storage.versioned.layout import (
    CONDEMNED,
    FLOOR,
    FORMAT,
    HEAD_HINT,
    LOG,
    MARKS,
    PINS,
    is_marker,
    manifest_path,
    state_path,
)
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.versions import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatch_defs_state.storage.versioned.content import Content
    from hatch_defs_state.storage.versioned.log import Log
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.versions import VersionManifest

_OWN = tuple(f"{folder}/" for folder in (LOG, PINS, CONDEMNED))
_OWN_FILES = frozenset({FORMAT, HEAD_HINT, FLOOR, MARKS})


@dataclass(frozen=True)
class StoreReport:
    """What a check has found.

    Attributes:
        commits: Number of commits in the history that is kept.
        versions: Number of versions that they name.
        objects: Number of objects that those need.
        size: Sum of the sizes of those objects, in bytes.
        problems: What is missing or damaged.
        unreferenced: Paths of objects that nothing needs: left by an interrupted push, written by
            another tool, or free to be cleaned up.
    """

    commits: int
    versions: int
    objects: int
    size: int
    problems: tuple[DefsStateError, ...]
    unreferenced: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether all history and all content is there, and as it was written."""
        return not self.problems


def verify(
    store: ObjectStore, log: Log, content: Content, lineage: str | None, *, deep: bool
) -> StoreReport:
    """Check every commit, and every version that one of them names.

    Args:
        store: The store.
        log: Its commits.
        content: Its content.
        lineage: What its marker says.
        deep: Whether contents are read and compared with their digests, or sizes only.
    """
    while True:
        floor = log.floor()
        report = _verify(store, log, content, lineage, deep=deep)
        # What a clean-up has forgotten, and removed, in the midst of the check is no damage.
        if report.is_clean or log.floor() == floor:
            return report


def _verify(
    store: ObjectStore, log: Log, content: Content, lineage: str | None, *, deep: bool
) -> StoreReport:
    problems: list[DefsStateError] = []
    commits, named = _history(log, lineage, problems)
    present = {info.path: info.size for info in store.list("")}
    manifests: list[VersionManifest] = []
    for found in run_all(lambda item: _check(content, item, present, deep=deep), sorted(named)):
        manifests.extend(found.manifests)
        problems.extend(found.problems)
    if deep:
        problems.extend(_altered(content, manifests, present))
    needed = {path for manifest in manifests for path in manifest.objects()}
    needed |= {state_path(key, version) for key, version in named if not is_marker(version)}
    return StoreReport(
        commits=commits,
        versions=len(named),
        objects=len(needed & present.keys()),
        size=sum(present.get(path, 0) for path in needed),
        problems=tuple(problems),
        unreferenced=tuple(sorted(path for path in present.keys() - needed if not _is_own(path))),
    )


@dataclass(frozen=True)
class _Found:
    manifests: tuple[VersionManifest, ...] = ()
    problems: tuple[DefsStateError, ...] = ()


def _history(
    log: Log, lineage: str | None, problems: list[DefsStateError]
) -> tuple[int, set[tuple[str, str]]]:
    """Return the number of commits, and all keys and versions that one of them names."""
    commits = 0
    named: set[tuple[str, str]] = set()
    try:
        for entry in log.entries():
            commits += 1
            if entry.lineage != lineage:
                problems.append(
                    StoreFormatError(f"commit {entry.serial} belongs to another store's history")
                )
            versions = log.read(entry.serial).versions
            named |= {(key, value.version) for key, value in versions.items()}
    except DefsStateError as error:
        problems.append(error)
    return commits, named


def _check(
    content: Content, item: tuple[str, str], present: Mapping[str, int], *, deep: bool
) -> _Found:
    key, version = item
    if is_marker(version):
        return _Found()
    if is_plain(version) and not deep:
        path = state_path(key, version)
        if path in present:
            return _Found()
        missing = f"the version {version} is missing: there is no {path}"
        return _Found(problems=(_damaged(missing, path, item),))
    try:
        manifest = content.describe(key, version)
    except VersionNotFoundError as error:
        path = state_path(*item) if is_plain(version) else manifest_path(*item)
        return _Found(problems=(_damaged(error.message, path, item),))
    except DefsStateError as error:
        return _Found(problems=(error,))
    return _Found((manifest,), tuple(_wrong_sizes(manifest, present)))


def _wrong_sizes(
    manifest: VersionManifest, present: Mapping[str, int]
) -> Iterator[DamagedObjectError]:
    for path, entry in manifest.files.items():
        where = manifest.object_of(path)
        size = present.get(where)
        if size is None:
            text = f"{path} of version {manifest.version} is missing: there is no {where}"
            yield _damaged(text, where, (manifest.key, manifest.version))
        elif size != entry.size:
            text = (
                f"{path} of version {manifest.version}, {where}, has {size} bytes, not {entry.size}"
            )
            yield _damaged(text, where, (manifest.key, manifest.version))


def _altered(
    content: Content, manifests: Iterable[VersionManifest], present: Mapping[str, int]
) -> Iterator[DefsStateError]:
    """Compare files with their digests; one that several versions share is read once if it is good.

    A plain version was read completely when it was described.
    """
    users: dict[str, list[tuple[VersionManifest, str]]] = {}
    for manifest in manifests:
        for path, entry in manifest.files.items():
            where = manifest.object_of(path)
            if not manifest.is_plain and present.get(where) == entry.size:
                users.setdefault(where, []).append((manifest, path))

    def check(items: list[tuple[VersionManifest, str]]) -> list[DefsStateError]:
        first = _attempt(content.verify_file, *items[0])
        rest = (_attempt(content.verify_file, *item) for item in items[1:]) if first else ()
        return [problem for problem in (first, *rest) if problem]

    for found in run_all(check, users.values()):
        yield from found


def _attempt(
    function: Callable[[VersionManifest, str], None], manifest: VersionManifest, path: str
) -> DefsStateError | None:
    try:
        function(manifest, path)
    except DefsStateError as error:
        return error
    return None


def _damaged(message: str, path: str, item: tuple[str, str]) -> DamagedObjectError:
    return DamagedObjectError(message, object_path=path, key=item[0], version=item[1])


def _is_own(path: str) -> bool:
    return path in _OWN_FILES or path.startswith(_OWN)
