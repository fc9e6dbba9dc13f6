"""What a commit is, and how it is written down.

A commit is stored with its own changes, and with all changes since the last commit that was stored
in full. So any commit is read with two requests, and a log of many single changes stays small: with
n keys, a full commit follows whenever the changes since the last one would cost more than it, which
is about every sqrt(2 n) commits.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from hatch_defs_state.errors import DamagedObjectError, StoreFormatError
from hatch_defs_state.storage.versioned.layout import log_path

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
_MIN_CHANGES = 32


@dataclass(frozen=True)
class KeyVersion:
    """The current version of a key.

    Attributes:
        version: Its identifier.
        since: When it became current, in seconds since the epoch.
    """

    version: str
    since: float


@dataclass(frozen=True)
class Reference:
    """Another commit, and the digest that its object must have."""

    serial: int
    sha256: str


@dataclass(frozen=True)
class LogEntry:
    """What one commit changed, and when.

    Attributes:
        serial: Its number; the first commit is 1.
        parent: The commit before it, `None` for the first.
        lineage: Names the history that it belongs to.
        nonce: Tells it from any other attempt to write a commit of that number.
        at: When it was written, in seconds since the epoch, by the clock of who wrote it.
        message: What its writer says about it.
        changes: For every key that changed, its new version, or `None` when it was removed.
        rollback_of: The commit whose versions it brings back, if it does.
        base: The full commit that is needed to read its versions; `None` when it is full itself.
        sha256: Digest of its object, in hexadecimal.
    """

    serial: int
    parent: Reference | None
    lineage: str
    nonce: str
    at: float
    message: str
    changes: Mapping[str, str | None]
    rollback_of: int | None = None
    base: Reference | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Commit:
    """All keys' current versions at one moment.

    Attributes:
        entry: What it changed.
        versions: The version of every key.
    """

    entry: LogEntry
    versions: Mapping[str, KeyVersion]

    @property
    def serial(self) -> int:
        """Number of the commit; 0 before the first one."""
        return self.entry.serial

    @property
    def at(self) -> float:
        """When it was written, in seconds since the epoch."""
        return self.entry.at

    @property
    def message(self) -> str:
        """What its writer says about it."""
        return self.entry.message

    @property
    def lineage(self) -> str:
        """Names the history that it belongs to; empty before the first commit."""
        return self.entry.lineage

    def version_of(self, key: str) -> str | None:
        """Return the current version of `key`, if it has one."""
        found = self.versions.get(key)
        return found.version if found else None


NOTHING = Commit(LogEntry(0, None, "", "", 0.0, "", {}), {})
"""What is current before the first commit."""


@dataclass(frozen=True)
class StoredCommit:
    """A commit as its object holds it.

    Attributes:
        entry: What it changed.
        versions: The keys that differ from `entry.base`, with `None` for removed ones; all keys
            when there is no base.
    """

    entry: LogEntry
    versions: Mapping[str, KeyVersion | None]

    @property
    def reference(self) -> Reference:
        """What another commit says to name this one."""
        return Reference(self.entry.serial, self.entry.sha256)

    def resolve(self, base: StoredCommit | None) -> Commit:
        """Return the commit with all versions, given the one that `entry.base` names."""
        return Commit(self.entry, _merged(base.versions if base else {}, self.versions))

    def to_bytes(self) -> bytes:
        """Return the content of the object; `parse` reads it."""
        body = _dump(_body(self.entry, self.versions))
        return body[:-1] + b',"sha256":"' + self.entry.sha256.encode() + b'"}'

    @classmethod
    def parse(cls, data: bytes, serial: int) -> StoredCommit:
        """Read the object of the commit `serial`.

        Raises:
            DamagedObjectError: It is not what was written for this number.
            StoreFormatError: A newer version of this software wrote it.
        """
        path = log_path(serial)
        try:
            body = json.loads(data)
            digest = body.pop("sha256")
            schema = body["schema"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DamagedObjectError(f"{path} is damaged", object_path=path) from None
        if schema != SCHEMA:
            raise StoreFormatError(
                f"commit {serial} has schema {schema!r}; {SCHEMA} is known",
                hint="update hatch-defs-state",
            )
        if digest != _digest(body):
            raise DamagedObjectError(f"{path} differs from its digest", object_path=path)
        if body["serial"] != serial:
            raise DamagedObjectError(f"{path} holds commit {body['serial']}", object_path=path)
        entry = LogEntry(
            serial=serial,
            parent=_reference(body["parent"]),
            lineage=body["lineage"],
            nonce=body["nonce"],
            at=body["at"],
            message=body["message"],
            changes=body["changes"],
            rollback_of=body["rollback_of"],
            base=_reference(body["base"]),
            sha256=digest,
        )
        return cls(
            entry,
            {key: KeyVersion(*value) if value else None for key, value in body["versions"].items()},
        )


EMPTY = StoredCommit(NOTHING.entry, {})
"""`NOTHING`, for a log without commits."""


def successor(
    head: StoredCommit, current: Commit, changes: Mapping[str, str | None], draft: LogEntry
) -> StoredCommit:
    """Return the commit that follows `head`.

    Args:
        head: The newest commit.
        current: The same, with all versions.
        changes: What differs from `current`.
        draft: Lineage, nonce, time and message of the new commit.
    """
    new = {
        key: KeyVersion(version, draft.at) if version is not None else None
        for key, version in changes.items()
    }
    since_base = {**head.versions, **new} if head.entry.base else new
    total = len(current.versions) + len(new)
    full = not head.entry.serial or len(since_base) ** 2 > max(_MIN_CHANGES**2, 2 * total)
    entry = replace(
        draft,
        serial=head.entry.serial + 1,
        parent=head.reference if head.entry.serial else None,
        changes=dict(changes),
        base=None if full else (head.entry.base or head.reference),
    )
    versions = _merged(current.versions, new) if full else since_base
    return StoredCommit(replace(entry, sha256=_digest(_body(entry, versions))), versions)


def following(current: Commit, entry: LogEntry) -> Commit:
    """Return the commit `entry`, which follows `current`, with all versions."""
    new = {
        key: KeyVersion(version, entry.at) if version is not None else None
        for key, version in entry.changes.items()
    }
    return Commit(entry, _merged(current.versions, new))


def _merged(
    versions: Mapping[str, KeyVersion | None], changes: Mapping[str, KeyVersion | None]
) -> dict[str, KeyVersion]:
    merged = {**versions, **changes}
    for key, value in changes.items():
        if value is None:
            del merged[key]
    return cast("dict[str, KeyVersion]", merged)


def _body(entry: LogEntry, versions: Mapping[str, KeyVersion | None]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "serial": entry.serial,
        "parent": _reference_json(entry.parent),
        "lineage": entry.lineage,
        "nonce": entry.nonce,
        "at": entry.at,
        "message": entry.message,
        "changes": dict(entry.changes),
        "rollback_of": entry.rollback_of,
        "base": _reference_json(entry.base),
        "versions": {
            key: [value.version, value.since] if value else None for key, value in versions.items()
        },
    }


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_dump(body)).hexdigest()


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _reference_json(reference: Reference | None) -> list[Any] | None:
    return [reference.serial, reference.sha256] if reference else None


def _reference(value: list[Any] | None) -> Reference | None:
    return Reference(*value) if value else None
