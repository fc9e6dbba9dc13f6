"""What is remembered of a project's last refresh, so that the next one can leave writers out.

A record names a kept generation and says what each of its states depended on. Losing it costs time
and nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.errors import ManifestError
from hatch_defs_state.storage.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1


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

    def to_bytes(self) -> bytes:
        """Serialise as JSON."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "generation": self.generation,
                "manifest": self.manifest.to_bytes().decode(),
                "common": dict(self.common),
                "declared": dict(self.declared),
                "keys": [
                    {
                        "declaration": key.declaration.to_json(),
                        "parts": dict(key.parts),
                        "refreshed_at": key.refreshed_at,
                    }
                    for key in self.keys.values()
                ],
                "warnings": list(self.warnings),
                "salt": self.salt,
            }
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> Record | None:
        """Read what `to_bytes` wrote; `None` for anything else."""
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                return None
            keys = [_parse_key(entry) for entry in document["keys"]]
            return cls(
                generation=document["generation"],
                manifest=Manifest.parse(document["manifest"].encode()),
                common=document["common"],
                declared=document["declared"],
                keys={key.declaration.key: key for key in keys},
                warnings=tuple(document["warnings"]),
                salt=document["salt"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, ManifestError):
            return None


def _parse_key(entry: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        declaration=ComponentDeclaration.parse(entry["declaration"]),
        # Most of them are those of other keys as well.
        parts={label: sys.intern(part) for label, part in entry["parts"].items()},
        refreshed_at=float(entry["refreshed_at"]),
    )
