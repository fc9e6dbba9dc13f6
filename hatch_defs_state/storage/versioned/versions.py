"""Versions: identifiers that follow from content, and manifests that list what belongs to one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import DamagedObjectError, StateError, StoreFormatError
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.versioned.layout import file_path, manifest_path, state_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 1
STATE = "state"
"""The file, or folder, in a key's folder that a writer is given the path of."""

_PLAIN, _LISTED = "0", "1"
_DERIVED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{11}([01])")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class VersionManifest:
    """What one version of one key consists of.

    Attributes:
        key: The state key.
        version: The identifier of the version.
        files: Files by path below the key's folder, with forward slashes.
    """

    key: str
    version: str
    files: Mapping[str, FileEntry]

    @property
    def is_plain(self) -> bool:
        """Whether the version's identifier certifies its content, which is the state file alone."""
        return is_plain(self.version)

    @property
    def size(self) -> int:
        """Sum of the sizes of the files, in bytes."""
        return sum(entry.size for entry in self.files.values())

    def object_of(self, path: str) -> str:
        """Return where in the store the content of a file lies."""
        if path == STATE:
            return state_path(self.key, self.version)
        return file_path(self.files[path].sha256)

    def objects(self) -> frozenset[str]:
        """Return the paths of all objects that the version needs."""
        content = {self.object_of(path) for path in self.files}
        return frozenset(content if self.is_plain else {*content, self.path})

    @property
    def path(self) -> str:
        """Where the manifest lies, when the version has one."""
        return manifest_path(self.key, self.version)

    def to_bytes(self) -> bytes:
        """Return the content of the manifest's object; `parse` reads it."""
        body = {
            "schema": SCHEMA,
            "key": self.key,
            "version": self.version,
            "files": {path: [entry.size, entry.sha256] for path, entry in self.files.items()},
        }
        return _dump({**body, "sha256": hashlib.sha256(_dump(body)).hexdigest()})

    @classmethod
    def parse(cls, data: bytes, key: str, version: str) -> VersionManifest:
        """Read the manifest of a version.

        Raises:
            DamagedObjectError: It is not what was written for this key and version.
            StoreFormatError: A newer version of this software wrote it.
        """
        path = manifest_path(key, version)

        def damaged(reason: str) -> DamagedObjectError:
            return DamagedObjectError(
                f"the manifest of version {version}, {path}, {reason}",
                object_path=path,
                key=key,
                version=version,
            )

        try:
            body = json.loads(data)
            digest = body.pop("sha256")
            schema = body["schema"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged("is damaged") from None
        if schema != SCHEMA:
            raise StoreFormatError(
                f"{path} has schema {schema!r}; {SCHEMA} is known", hint="update hatch-defs-state"
            )
        if digest != hashlib.sha256(_dump(body)).hexdigest():
            raise damaged("differs from its digest")
        if (body["key"], body["version"]) != (key, version):
            raise damaged(f"is that of version {body['version']} of {body['key']}")
        try:
            files = {path: FileEntry(*entry) for path, entry in body["files"].items()}
        except TypeError:
            raise damaged("is damaged") from None
        if not all(_is_safe(path) and _SHA256.fullmatch(files[path].sha256) for path in files):
            raise damaged("names files that cannot be in a state folder")
        if is_derived(version) and derive(key, files) != version:
            raise damaged("is not what the version was derived from")
        return cls(key, version, files)


def derive(key: str, files: Mapping[str, FileEntry]) -> str:
    """Return the version of a key with this content: the same for the same, in the form of a UUID.

    The key is part of it, because several keys may share one folder in the store. The last digit
    tells whether the content is the state file alone, so that no manifest needs to be looked for.
    """
    content = sorted((path, entry.size, entry.sha256) for path, entry in files.items())
    digest = hashlib.sha256(json.dumps([key, content]).encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    kind = _PLAIN if set(files) == {STATE} else _LISTED
    return str(uuid.UUID(f"{digest[:12]}8{digest[13:16]}{variant}{digest[17:31]}{kind}"))


def is_derived(version: str) -> bool:
    """Whether `version` has the form that `derive` gives to versions."""
    return _DERIVED.fullmatch(version) is not None


def is_plain(version: str) -> bool:
    """Whether `version` was derived from a state file alone."""
    match = _DERIVED.fullmatch(version)
    return match is not None and match[1] == _PLAIN


def collect(key: str, path: Path) -> dict[str, Path]:
    """Return the files of a state by their paths below the key's folder, sorted.

    Links inside the folder are followed; empty folders are left out.

    Args:
        key: The state key.
        path: The key's folder, which holds `state`; or a file that is the state itself.

    Raises:
        StateError: There is no state, or a link leads out of the folder or to nothing.
    """
    if path.is_file():
        return {STATE: path}
    if not path.is_dir():
        raise StateError(f"there is no state at {path}", key=key)
    files = dict(sorted(_walk(key, path, path.resolve(), ())))
    if not any(PurePosixPath(name).parts[0] == STATE for name in files):
        raise StateError(f"{path} holds no `{STATE}`, or an empty folder of that name", key=key)
    return files


def _walk(
    key: str, folder: Path, top: Path, above: tuple[Path, ...], prefix: str = ""
) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:
        raise StateError(f"the link {prefix.rstrip('/')} leads back to a folder above it", key=key)
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            path = Path(entry.path)
            if entry.is_symlink() and not path.resolve().is_relative_to(top):
                raise StateError(f"{name} is a link that leaves the state folder", key=key)
            if entry.is_dir():
                yield from _walk(key, path, top, (*above, real), f"{name}/")
            elif entry.is_file():
                yield name, path
            else:
                raise StateError(f"{name} is neither a file nor a folder", key=key)


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return not (set(parts) & {"", ".", ".."} or "\\" in path or re.match(r"[A-Za-z]:", path))


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
