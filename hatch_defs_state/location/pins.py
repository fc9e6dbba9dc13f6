"""What one load of a code location has read, as a value that another process can load again."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.location.last_pinned import PinnedCommit

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMA = 1


@dataclass(frozen=True)
class Pins:
    """State that a code location has read: which, and for snapshots the content as well.

    Can be pickled; `to_json` and `parse` are for everything else.

    Attributes:
        defs_module: Names the code location.
        commit: The commit of versioned storage; `None` when there are no versioned components.
        local: Digest of each key's local state.
        snapshots: Files of each snapshot, by their path below the key's folder.
        missing: Keys that were loaded without state.
    """

    defs_module: str
    commit: PinnedCommit | None = None
    local: Mapping[str, str] = field(default_factory=dict)
    snapshots: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str | None]:
        """What the definitions of each key come from.

        The version in versioned storage; the digest of local state, and of a snapshot; `None` where
        there is no state.
        """
        found: dict[str, str | None] = dict.fromkeys(self.missing)
        found |= self.local
        found |= self.commit.versions if self.commit else {}
        found |= {key: _digest(files) for key, files in self.snapshots.items()}
        return dict(sorted(found.items()))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping that `parse` reads."""
        return {
            "schema": _SCHEMA,
            "defs_module": self.defs_module,
            "commit": None if self.commit is None else self.commit.to_json(),
            "local": dict(self.local),
            "snapshots": {
                key: {path: base64.b64encode(data).decode() for path, data in files.items()}
                for key, files in self.snapshots.items()
            },
            "missing": list(self.missing),
        }

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Pins:
        """Read what `to_json` returned.

        Raises:
            SettingsError: It is something else, or was written by a newer version.
        """
        try:
            if values["schema"] != _SCHEMA:
                raise SettingsError(
                    f"the pins have schema {values['schema']!r}, this version reads {_SCHEMA}",
                    hint="use the same version of hatch-defs-state in both processes",
                )
            return cls(
                str(values["defs_module"]),
                None if values["commit"] is None else PinnedCommit.parse(values["commit"]),
                {str(key): str(digest) for key, digest in values["local"].items()},
                {
                    str(key): {path: base64.b64decode(text) for path, text in files.items()}
                    for key, files in values["snapshots"].items()
                },
                tuple(str(key) for key in values["missing"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SettingsError(
                f"these are no pins of a code location ({type(error).__name__}: {error})"
            ) from None


def _digest(files: Mapping[str, bytes]) -> str:
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
