"""The manifest: a generation's table of contents, written last; it seals the generation."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import ManifestError, SourceLocation
from hatch_defs_state.storage.keys import folder_name
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.names import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 1
FILE_NAME = MANIFEST_NAME
VERSIONS_FOLDER = "@versions"
"""The folder, beside those of the keys, for content of versioned storage; no key's is called so."""


@dataclass(frozen=True)
class KeyEntry:
    """One state key in a manifest.

    Attributes:
        component_type: Dotted name of the class whose writer made the state.
        source: The file and line that declare the component, relative to the project.
        management_type: Where the state is kept.
        files: Files by path below the key's folder, with forward slashes.
        versions: Versions of the distributions that wrote the state, by normalised name.
        written_at: When this content was first seen, in ISO 8601 (UTC, whole seconds); not in
            artifacts whose bytes have to be the same whenever they are built.
        last_good_age: Age in seconds of state that stands in for one that could not be renewed.
        version: The version in versioned storage that the artifact pins. When `files` are given as
            well, its content is bundled, in `VERSIONS_FOLDER`.
    """

    component_type: str
    source: SourceLocation
    management_type: ManagementType
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    written_at: str | None = None
    last_good_age: int | None = None
    version: str | None = None

    @functools.cached_property
    def digest(self) -> str:
        """Sha256 over the names and contents of the files, in hexadecimal."""
        return _digest({path: entry.sha256 for path, entry in self.files.items()})

    @property
    def size(self) -> int:
        """Sum of the sizes of the files, in bytes."""
        return sum(entry.size for entry in self.files.values())


@dataclass(frozen=True)
class Pinned:
    """The commit of versioned storage whose versions an artifact pins.

    Attributes:
        store: URL of the store, without credentials.
        lineage: Names the history that the commit belongs to.
        serial: Number of the commit.
    """

    store: str
    lineage: str
    serial: int


@dataclass(frozen=True)
class Manifest:
    """Table of contents of one generation.

    Attributes:
        project: Name of the project.
        keys: The keys whose state the generation holds.
        elsewhere: State-backed components whose management type keeps their state elsewhere; none
            of their files is part of the generation, but for those of bundled versions.
        pinned: The commit that the versions in `elsewhere` belong to.
        settings: Settings of the project that apply wherever the artifact loads (`store`,
            `offline`, `allow-missing`), as in `pyproject.toml`.
    """

    project: str
    keys: Mapping[str, KeyEntry]
    elsewhere: Mapping[str, KeyEntry] = field(default_factory=dict)
    pinned: Pinned | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def digest(self) -> str:
        """Sha256 over all keys and the contents of their files, in hexadecimal.

        The versions that are pinned, and what is bundled of them, are part of it.
        """
        local = {key: entry.digest for key, entry in self.keys.items()}
        pinned = {
            key: [entry.version, entry.digest]
            for key, entry in self.elsewhere.items()
            if entry.version is not None
        }
        return _digest([local, pinned] if pinned else local)

    @property
    def files(self) -> dict[str, FileEntry]:
        """All files by path below the state folder, sorted."""
        entries = {folder_name(key): entry for key, entry in self.keys.items()}
        entries |= {bundled_folder(key): entry for key, entry in self.elsewhere.items()}
        return dict(
            sorted(
                (f"{folder}/{path}", file)
                for folder, entry in entries.items()
                for path, file in entry.files.items()
            )
        )

    @property
    def carried(self) -> int:
        """How many states come with it: local ones, and bundled versions."""
        return len(self.keys) + sum(bool(entry.files) for entry in self.elsewhere.values())

    def dated(self, written_at: str | None) -> Manifest:
        """Return the manifest with another date, or none, for all of its keys."""
        keys = {key: replace(entry, written_at=written_at) for key, entry in self.keys.items()}
        return replace(self, keys=keys)

    def to_bytes(self) -> bytes:
        """Serialise as JSON with sorted keys and a final newline."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "project": self.project,
            "digest": self.digest,
            "keys": self.keys,
            "elsewhere": self.elsewhere,
        }
        if self.pinned is not None:
            document["pinned"] = asdict(self.pinned)
        if self.settings:
            document["settings"] = dict(self.settings)
        return b"".join(map(str.encode, _pieces(document)))

    @classmethod
    def parse(cls, data: bytes, where: str = FILE_NAME) -> Manifest:
        """Read what `to_bytes` wrote.

        Args:
            data: The JSON document.
            where: Names the document in errors.

        Raises:
            ManifestError: The document is no manifest, is of a newer schema, or its digest is not
                that of its entries.
        """
        place = SourceLocation(where)
        try:
            document = json.loads(data)
            schema = document["schema"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ManifestError("this is not a manifest of defs state", location=place) from error
        if schema != SCHEMA:
            raise ManifestError(
                f"the manifest has schema {schema!r}, this version reads schema {SCHEMA}",
                location=place,
                hint="use the version of hatch-defs-state that built the artifact, or a newer one",
            )
        shared: dict[object, Any] = {}
        try:
            manifest = cls(
                project=str(document["project"]),
                keys={key: _entry_from_json(e, shared) for key, e in document["keys"].items()},
                elsewhere={
                    key: _entry_from_json(e, shared) for key, e in document["elsewhere"].items()
                },
                pinned=_pinned_from_json(document.get("pinned")),
                settings=_typed(document.get("settings", {}), dict),
            )
            recorded = document["digest"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(
                f"the manifest is damaged ({type(error).__name__}: {error})", location=place
            ) from error
        if manifest.digest != recorded:
            raise ManifestError(
                f"the manifest was edited: its digest is {recorded}, "
                f"its entries have {manifest.digest}",
                location=place,
            )
        return manifest


def bundled_folder(key: str) -> str:
    """Return where, below the state folder, an artifact carries a version of `key`."""
    return f"{VERSIONS_FOLDER}/{folder_name(key)}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """Serialise a document whose values may be mappings of keys to entries.

    Entry by entry, as all of them at once take ten times the memory of the text.
    """
    begin = "{\n"
    for name in sorted(document):
        content = document[name]
        yield f"{begin} {json.dumps(name)}: "
        begin = ",\n"
        if content and name in {"keys", "elsewhere"}:
            start = "{\n"
            for key in sorted(content):
                entry = _entry_to_json(key, content[key])
                yield f"{start}  {json.dumps(key)}: {_dump(entry, 2)}"
                start = ",\n"
            yield "\n }"
        else:
            yield _dump(content, 1)
    yield "\n}\n"


def _dump(content: object, level: int) -> str:
    """Serialise a part of the document that is so many levels deep."""
    return json.dumps(content, indent=1, sort_keys=True).replace("\n", "\n" + " " * level)


def _entry_to_json(key: str, entry: KeyEntry) -> dict[str, Any]:
    document: dict[str, Any] = {
        "component_type": entry.component_type,
        "management_type": entry.management_type.value,
        "source": {"file": entry.source.file, "line": entry.source.line},
    }
    is_local = entry.management_type is ManagementType.LOCAL_FILESYSTEM
    if is_local or entry.files:
        document |= {
            "folder": folder_name(key) if is_local else bundled_folder(key),
            "digest": entry.digest,
            "files": {path: file._asdict() for path, file in entry.files.items()},
        }
    if is_local:
        document |= {"versions": dict(entry.versions), "written_at": entry.written_at}
    if entry.version is not None:
        document["version"] = entry.version
    if entry.last_good_age is not None:
        document["last_good_age"] = entry.last_good_age
    return document


def _entry_from_json(document: Mapping[str, Any], shared: dict[object, Any]) -> KeyEntry:
    """Read an entry; `shared` has what is equal in the entries that were read before."""
    versions = {
        name: _typed(version, str) for name, version in document.get("versions", {}).items()
    }
    return KeyEntry(
        component_type=sys.intern(_typed(document["component_type"], str)),
        source=SourceLocation(
            _typed(document["source"]["file"], str),
            _typed(document["source"]["line"], int, type(None)),
        ),
        management_type=ManagementType(document["management_type"]),
        files={
            path: FileEntry(size=_typed(file["size"], int), sha256=_typed(file["sha256"], str))
            for path, file in document.get("files", {}).items()
        },
        versions=shared.setdefault(tuple(versions.items()), versions),
        written_at=_typed(document.get("written_at"), str, type(None)),
        last_good_age=_typed(document.get("last_good_age"), int, type(None)),
        version=_typed(document.get("version"), str, type(None)),
    )


def _pinned_from_json(document: Mapping[str, Any] | None) -> Pinned | None:
    if document is None:
        return None
    return Pinned(
        store=_typed(document["store"], str),
        lineage=_typed(document["lineage"], str),
        serial=_typed(document["serial"], int),
    )


def _typed(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(f"{value!r} is no {kinds[0].__name__}")
    return value
