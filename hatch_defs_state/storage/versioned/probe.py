"""Proof that a store creates objects only if they are absent, and the marker that remembers it.

Commits that overwrite each other would be lost without any error. A store is therefore tried out
before anything is written to it, and used only if of several creates of one name exactly one
succeeds, one after another as well as at the same time.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import ObjectNotFoundError, StoreFormatError, StoreRefusedError
from hatch_defs_state.storage.versioned.layout import FORMAT, PROBES
from hatch_defs_state.storage.versioned.objects import win

if TYPE_CHECKING:
    from hatch_defs_state.storage.versioned.objects import ObjectStore

SCHEMA = 1
_RACERS = 8


@dataclass(frozen=True)
class Format:
    """What a store is told about itself, once and for all.

    Attributes:
        lineage: Names the history in this store; all of its commits carry it.
    """

    lineage: str

    def to_bytes(self) -> bytes:
        """Return what `parse` accepts."""
        data = {"schema": SCHEMA, "lineage": self.lineage, "create_if_absent": "proved"}
        return json.dumps(data, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, store: str) -> Format:
        """Read the marker of the store that is named `store`.

        Raises:
            StoreFormatError: It is damaged, or another version of this software wrote it.
        """
        try:
            values = json.loads(data)
            schema, lineage = values["schema"], str(uuid.UUID(values["lineage"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreFormatError(f"{FORMAT} in {store} is damaged") from None
        if schema != SCHEMA:
            raise StoreFormatError(
                f"{store} has schema {schema!r}; this version of hatch-defs-state knows {SCHEMA}",
                hint="update hatch-defs-state",
            )
        return cls(lineage)


def read_format(store: ObjectStore) -> Format | None:
    """Return the format of `store`, or `None` when nothing was ever written there.

    Raises:
        StoreFormatError: The marker is damaged, or not one that is known here.
    """
    try:
        data = store.get(FORMAT)
    except ObjectNotFoundError:
        return None
    return Format.parse(data, store.url)


def ensure_format(store: ObjectStore) -> Format:
    """Return the format of `store`; a new store is tried out and marked first.

    Raises:
        StoreRefusedError: Commits in this store could get lost.
        StoreFormatError: The marker is damaged, or not one that is known here.
    """
    found = read_format(store)
    if found is not None:
        return found
    prove_create_if_absent(store)
    own = Format(str(uuid.uuid4()))
    if win(store, FORMAT, own.to_bytes()):
        return own
    return Format.parse(store.get(FORMAT), store.url)


def prove_create_if_absent(store: ObjectStore) -> None:
    """Try out whether of several creates of one name exactly one succeeds.

    Raises:
        StoreRefusedError: It is not so.
    """
    one_by_one, together = (f"{PROBES}/{uuid.uuid4()}" for _ in range(2))
    try:
        wins = [win(store, one_by_one, _content()) for _ in range(2)]
        if wins != [True, False]:
            raise _refusal(store, "a second create of one name did not fail")
        contents = [_content() for _ in range(_RACERS)]
        with ThreadPoolExecutor(_RACERS) as pool:
            wins = list(pool.map(lambda data: win(store, together, data), contents))
        if wins.count(True) != 1:
            raise _refusal(
                store, f"{wins.count(True)} of {_RACERS} creates of one name at a time succeeded"
            )
        if store.get(together) != contents[wins.index(True)]:
            raise _refusal(store, "an object was overwritten by a create of the same name")
    finally:
        store.delete(one_by_one)
        store.delete(together)


def _content() -> bytes:
    return uuid.uuid4().bytes


def _refusal(store: ObjectStore, reason: str) -> StoreRefusedError:
    return StoreRefusedError(
        f"{store.url} does not create objects only if they are absent: {reason}; "
        "concurrent commits would overwrite each other there",
        hint="use a store that honours `If-None-Match: *` (S3, Google Cloud Storage, Azure, "
        "Ceph, a local disk), or a newer version of this one",
    )
