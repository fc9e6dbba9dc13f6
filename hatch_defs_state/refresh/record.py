"""What is remembered of a project's last refresh, so that the next one can leave writers out.

A record names a kept generation and says what each of its states depended on. Losing it costs time
and nothing else.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.errors import ManifestError
from hatch_defs_state.storage.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 2


@dataclass(frozen=True)
class KeyRecord:
    """What is known of one key's state.

    Attributes:
        declaration: The component that wrote it.
        parts: What it depended on, by label; see `fingerprint`.
        refreshed_at: When its writer ran last, in seconds since the epoch.
    """

    declaration: ComponentDeclaration
    parts: Mapping[str, str]
    refreshed_at: float


@dataclass(frozen=True)
class Record:
    """The last refresh of a project.

    Attributes:
        generation: Name of the folder that keeps its files.
        manifest: Manifest of that generation.
        common: What all states depended on, by label.
        declared: The files that declare components, by label.
        keys: What is known of each key.
        warnings: What was said about components that were left out.
        salt: Goes into the digests of environment variables.
    """

    generation: str
    manifest: Manifest
    common: Mapping[str, str]
    declared: Mapping[str, str]
    keys: Mapping[str, KeyRecord]
    warnings: tuple[str, ...]
    salt: str

    def lines(self) -> Iterator[bytes]:
        """Serialise as lines of JSON: what all keys share, the manifest, and one line a key.

        Thousands of keys are never in memory as text all at once.
        """
        head = {
            "schema": SCHEMA,
            "generation": self.generation,
            "common": dict(self.common),
            "declared": dict(self.declared),
            "warnings": list(self.warnings),
            "salt": self.salt,
        }
        yield _line(head)
        yield _line(self.manifest.to_bytes().decode())
        for key in self.keys.values():
            yield _line(_key_to_json(key))

    @classmethod
    def parse(cls, data: bytes) -> Record | None:
        """Read what `lines` gave; `None` for anything else."""
        try:
            lines = io.BytesIO(data)
            head = json.loads(lines.readline())
            if head["schema"] != SCHEMA:
                return None
            manifest = Manifest.parse(json.loads(lines.readline()).encode())
            keys = [_parse_key(json.loads(line)) for line in lines]
            return cls(
                generation=head["generation"],
                manifest=manifest,
                common=head["common"],
                declared=head["declared"],
                keys={key.declaration.key: key for key in keys},
                warnings=tuple(head["warnings"]),
                salt=head["salt"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, ManifestError):
            return None


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _key_to_json(key: KeyRecord) -> dict[str, Any]:
    return {
        "declaration": key.declaration.to_json(),
        "parts": dict(key.parts),
        "refreshed_at": key.refreshed_at,
    }


def _parse_key(entry: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        declaration=ComponentDeclaration.parse(entry["declaration"]),
        # Most of them are those of other keys as well.
        parts={label: sys.intern(part) for label, part in entry["parts"].items()},
        refreshed_at=float(entry["refreshed_at"]),
    )
