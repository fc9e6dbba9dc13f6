"""The content of versions: from folders into the store, and back, checked on every way."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

from hatch_defs_state.errors import (
    DamagedObjectError,
    DefsStateError,
    ObjectNotFoundError,
    StateError,
    VersionConflictError,
    VersionNotFoundError,
)
from hatch_defs_state.storage.versioned.layout import (
    FILES,
    is_marker,
    manifest_path,
    require_key,
    require_version,
    state_path,
)
from hatch_defs_state.storage.versioned.objects import create_once
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.versions import (
    STATE,
    VersionManifest,
    derive,
    is_derived,
    is_plain,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hatch_defs_state.storage.measure import FileEntry
    from hatch_defs_state.storage.versioned.objects import ObjectStore, Source
    from hatch_defs_state.storage.versioned.staging import Staged


class Content:
    """The content of all versions in one store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def upload(
        self, staged: Iterable[Staged], known: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """Store states, except what is in the store already.

        Args:
            staged: The states.
            known: Paths of objects that need not be looked at.

        Returns:
            The paths of objects that were there before; they have the right size.

        Raises:
            VersionConflictError: A version identifier is taken by other content.
        """
        todo = list(staged)
        listed = [one.manifest for one in todo if not one.manifest.is_plain]
        # Before the content: who comes second with a version of that name must not get to write it.
        claimed = run_all(self._claim, listed)
        sources = {
            path: source
            for one in todo
            for path, source in one.sources.items()
            if path not in known
        }
        existing = self._store.put_files(sources)
        return existing | {
            manifest.path for manifest, is_new in zip(listed, claimed, strict=True) if not is_new
        }

    def check(self, sources: Iterable[tuple[str, Source]]) -> None:
        """Check objects that were in the store before against the content that they should have.

        Raises:
            VersionConflictError: An object has other content.
        """

        def check(item: tuple[str, Source]) -> None:
            path, source = item
            if self._store.measure(path) != source.entry:
                raise VersionConflictError(
                    f"{path} in {self._store.url} has other content than {source.file}",
                    hint="the object is damaged, or two writers use one version identifier",
                )

        run_all(check, sources)

    def known_objects(self, versions: Iterable[tuple[str, str | None]]) -> frozenset[str]:
        """Return the content-addressed files that stored versions consist of."""
        listed = [
            (key, version)
            for key, version in versions
            if version is not None and not is_plain(version) and not is_marker(version)
        ]
        manifests = run_all(lambda item: self.describe(*item), listed)
        paths = {path for manifest in manifests for path in manifest.objects()}
        return frozenset(path for path in paths if path.startswith(f"{FILES}/"))

    def require_same(self, manifests: Iterable[VersionManifest]) -> None:
        """Check that versions whose identifiers were handed in still have the same content.

        Raises:
            VersionConflictError: One has other content.
        """
        for manifest in manifests:
            if is_derived(manifest.version):
                continue
            if self.describe(manifest.key, manifest.version) != manifest:
                raise _conflict(manifest)

    def objects_of(self, key: str, version: str) -> frozenset[str]:
        """Return the paths of the objects that a version needs; a marker needs none."""
        if is_marker(version):
            return frozenset()
        if is_plain(version):
            return frozenset({state_path(key, version)})
        return self.describe(key, version).objects()

    def describe(self, key: str, version: str) -> VersionManifest:
        """Return what a version consists of.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it was altered.
        """
        require_key(key)
        require_version(key, version)
        if is_plain(version):
            return self._plain(key, version, self._measured(key, version))
        try:
            data = self._store.get(manifest_path(key, version))
        except ObjectNotFoundError:
            raise self._not_found(key, version, manifest_path(key, version)) from None
        return VersionManifest.parse(data, key, version)

    def require(self, key: str, version: str) -> None:
        """Check that all objects of a version are there; contents are checked when they are read.

        A version that Dagster's own class wrote is read once, and gets a manifest.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: A part of it is missing, or has another size.
        """
        if is_marker(version):
            return
        if is_plain(version):
            path = state_path(key, version)
            if self._store.size(path) is None:
                raise self._not_found(key, version, path)
            return
        manifest = self._adopted(key, version)
        run_all(lambda path: self._require_size(manifest, path), manifest.files)

    def verify_file(self, manifest: VersionManifest, path: str) -> None:
        """Check one file of a version against its digest, by reading it.

        Raises:
            DamagedObjectError: It is missing or differs.
        """
        try:
            found = self._store.measure(manifest.object_of(path))
        except ObjectNotFoundError:
            raise _damaged(manifest, path, "is missing") from None
        _require_equal(manifest, path, found)

    def fetch(self, key: str, version: str, target: Path) -> VersionManifest:
        """Restore a version into the new folder `target`; it appears complete and checked.

        Raises:
            VersionNotFoundError: Nothing is stored for it.
            DamagedObjectError: What is stored for it is missing or was altered.
            StateError: `target` exists, or cannot be written.
        """
        if target.exists():
            raise StateError(f"{target} exists already", key=key)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            partial.mkdir()
            manifest = self._fill(key, version, partial)
            partial.rename(target)
        except OSError as error:
            raise StateError(
                f"{target} cannot be written: {error.strerror or error}", key=key
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return manifest

    def _fill(self, key: str, version: str, folder: Path) -> VersionManifest:
        if is_plain(version):
            require_key(key)
            path = state_path(key, version)
            try:
                entry = self._store.get_to_file(path, folder / STATE)
            except ObjectNotFoundError:
                raise self._not_found(key, version, path) from None
            return self._plain(key, version, entry)
        manifest = self.describe(key, version)
        for parent in {(folder / path).parent for path in manifest.files}:
            parent.mkdir(parents=True, exist_ok=True)
        run_all(lambda path: self.download(manifest, path, folder / path), manifest.files)
        return manifest

    def download(self, manifest: VersionManifest, path: str, target: Path) -> None:
        """Restore one file of a version into the new file `target`; errors as in `fetch`."""
        try:
            found = self._store.get_to_file(manifest.object_of(path), target)
        except ObjectNotFoundError:
            raise _damaged(manifest, path, "is missing") from None
        _require_equal(manifest, path, found)

    def _adopted(self, key: str, version: str) -> VersionManifest:
        try:
            return self.describe(key, version)
        except VersionNotFoundError:
            if is_derived(version):
                raise
        found = VersionManifest(key, version, {STATE: self._measured(key, version)})
        self._claim(found)
        return found

    def _claim(self, manifest: VersionManifest) -> bool:
        """Write a manifest, and return whether it is new."""
        data = manifest.to_bytes()
        if self._store.size(manifest.path) is None and create_once(
            self._store, manifest.path, data
        ):
            return True
        if self._store.get(manifest.path) != data:
            raise _conflict(manifest)
        return False

    def _measured(self, key: str, version: str) -> FileEntry:
        path = state_path(key, version)
        try:
            return self._store.measure(path)
        except ObjectNotFoundError:
            raise self._not_found(key, version, path) from None

    def _plain(self, key: str, version: str, entry: FileEntry) -> VersionManifest:
        manifest = VersionManifest(key, version, {STATE: entry})
        if derive(key, manifest.files) != version:
            raise _damaged(manifest, STATE, f"is not its content ({entry.size} bytes)")
        return manifest

    def _not_found(self, key: str, version: str, path: str) -> DefsStateError:
        return VersionNotFoundError(
            f"the version {version} is not in {self._store.url}: there is no {path}", key=key
        )

    def _require_size(self, manifest: VersionManifest, path: str) -> None:
        size = self._store.size(manifest.object_of(path))
        if size is None:
            raise _damaged(manifest, path, "is missing")
        if size != manifest.files[path].size:
            raise _damaged(
                manifest, path, f"has {size} bytes instead of {manifest.files[path].size}"
            )


def _require_equal(manifest: VersionManifest, path: str, found: FileEntry) -> None:
    expected = manifest.files[path]
    if found != expected:
        raise _damaged(
            manifest,
            path,
            f"has {found.size} bytes with sha256 {found.sha256[:12]}… instead of "
            f"{expected.size} with {expected.sha256[:12]}…",
        )


def _conflict(manifest: VersionManifest) -> VersionConflictError:
    return VersionConflictError(
        f"the version {manifest.version} has other content already, or is another key's",
        key=manifest.key,
        hint="a version never changes: give new content a new identifier",
    )


def _damaged(manifest: VersionManifest, path: str, reason: str) -> DamagedObjectError:
    where = manifest.object_of(path)
    return DamagedObjectError(
        f"{path} of version {manifest.version}, {where}, {reason}",
        object_path=where,
        key=manifest.key,
        version=manifest.version,
        hint="`defs-state store verify` lists all damage; push the state again or roll back",
    )
