"""A store that counts what is downloaded from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.storage.versioned.layout import FILES, RESERVED
from hatch_defs_state.storage.versioned.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator


class CountingStore(LocalStore):
    """A store on the local disk; `downloads` are the contents that were read from it."""

    downloads: list[str]

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        if path.startswith(f"{FILES}/") or not path.startswith(f"{RESERVED}/"):
            self.__dict__.setdefault("downloads", []).append(path)
        yield from super().stream(path)
