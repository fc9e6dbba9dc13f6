"""What Dagster's own storage class left: pointers in run storage, to versions at the same base.

`UPathDefsStateStorage` keeps the current versions of all keys in one value of the run storage's
cursors. That value is never written here, so that one can go back. It counts until it was taken
over: then a mark beside it names it, so that a key which is removed later does not come back.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dagster._core.storage.defs_state.base import DEFS_STATE_INFO_CURSOR_KEY
from dagster_shared.serdes.objects.models.defs_state_info import DefsStateInfo
from dagster_shared.serdes.serdes import deserialize_value

from hatch_defs_state.storage.versioned import is_marker
from hatch_defs_state.storage.versioned.layout import state_path
from hatch_defs_state.storage.versioned.parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.versioned import Commit, VersionedStorage

TAKEN_OVER = "__hatch_defs_state_taken_over__"
"""Cursor of the run storage: for every store, by lineage, the digest of the pointers taken over."""


class Predecessor:
    """The versions that Dagster's own class made current, seen from one store.

    Args:
        storage: The store, which may hold versions that Dagster's class wrote.
    """

    def __init__(self, storage: VersionedStorage) -> None:
        self._storage = storage
        self._stored: dict[str, dict[str, Any]] = {}
        self._is_taken_over = False

    def current(self, database: Any, head: Commit) -> dict[str, Any]:
        """Return what still counts of Dagster's pointers, by key.

        Args:
            database: The instance's run storage, if there is one.
            head: The newest commit, whose versions go first unless they are older.
        """
        raw, marks = self._read(database)
        if raw is None or marks.get(self._storage.lineage() or "") == _digest(raw):
            return {}
        return {key: info for key, info in self._in_store(raw).items() if _is_due(head, key, info)}

    def take_over(self, database: Any) -> None:
        """Commit what still counts of Dagster's pointers, once in the life of this object."""
        if self._is_taken_over:
            return
        raw, marks = self._read(database)
        if raw is None or marks.get(self._storage.lineage() or "") == _digest(raw):
            self._is_taken_over = True
            return
        found = self._in_store(raw)
        if found:
            self._storage.set_versions(
                {key: info.version for key, info in found.items()},
                "take over what Dagster's own class has made current",
                wanted=lambda head, key: _is_due(head, key, found[key]),
            )
        lineage = self._storage.lineage()
        if lineage is not None:
            mark = json.dumps({**marks, lineage: _digest(raw)}, sort_keys=True)
            database.set_cursor_values({TAKEN_OVER: mark})

    def _read(self, database: Any) -> tuple[str | None, Mapping[str, str]]:
        if database is None:
            return None, {}
        values = database.get_cursor_values({DEFS_STATE_INFO_CURSOR_KEY, TAKEN_OVER})
        marks: dict[str, str] = json.loads(values.get(TAKEN_OVER) or "{}")
        return values.get(DEFS_STATE_INFO_CURSOR_KEY), marks

    def _in_store(self, raw: str) -> dict[str, Any]:
        """Return those of the pointers that lead to something in this store."""
        digest = _digest(raw)
        if digest not in self._stored:
            pointers = deserialize_value(raw, DefsStateInfo).info_mapping
            named = {key: info for key, info in pointers.items() if info is not None}
            there = run_all(lambda item: self._is_there(item[0], item[1].version), named.items())
            found = zip(named.items(), there, strict=True)
            self._stored = {digest: {key: info for (key, info), is_there in found if is_there}}
        return self._stored[digest]

    def _is_there(self, key: str, version: str) -> bool:
        if is_marker(version):
            return True
        return self._storage.store.size(state_path(key, version)) is not None


def _is_due(head: Commit, key: str, info: Any) -> bool:
    known = head.versions.get(key)
    return known is None or (known.version != info.version and known.since < info.create_timestamp)


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode()).hexdigest()
