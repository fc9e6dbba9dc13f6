"""Leases: what keeps clean-up from removing content that somebody is about to rely on.

Whoever wants content to stay writes a lease first and then looks whether a clean-up has condemned
it; a clean-up writes its list of condemned objects first and then looks at the leases. Whichever
comes second sees the other: either the clean-up spares the content, or the holder of the lease
waits until the clean-up is over and then finds out what is left.

Times in leases and lists are by the clock of who wrote them. Whoever reads them allows for
`CLOCK_SKEW`, by which clocks of machines that share a store may differ.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_defs_state.errors import ObjectNotFoundError, StorageError, StoreFormatError
from hatch_defs_state.storage.versioned.layout import CONDEMNED, PINS
from hatch_defs_state.storage.versioned.parallel import run_all
from hatch_defs_state.storage.versioned.renewal import repeating

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from hatch_defs_state.storage.versioned.objects import ObjectStore

_log = logging.getLogger(__name__)
SCHEMA = 1
CLOCK_SKEW = 300.0
"""Seconds; Kerberos asks for the same of its clocks."""

LEASE_SECONDS = 900.0
"""How long a lease lasts that is not renewed, unless its owner says otherwise."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_POLL = 0.5


@dataclass(frozen=True)
class Pin:
    """Versions that are in use.

    Attributes:
        name: Name of the pin.
        versions: The versions in use, for every key.
        expires: When it ends, in seconds since the epoch; `None` means never.
        note: What its owner says about it.
        objects: Paths of the shared files that the versions need, where their owner has said so:
            of versions that are not yet in the store nobody else could know.
        serial: The commit whose versions they are, where a user has pinned one.
    """

    name: str
    versions: Mapping[str, tuple[str, ...]]
    expires: float | None = None
    note: str = ""
    objects: tuple[str, ...] | None = None
    serial: int | None = None

    @property
    def path(self) -> str:
        """Where the pin lies in the store."""
        return f"{PINS}/{self.name}.json"

    def is_live(self, now: float) -> bool:
        """Whether it still counts at the time `now`."""
        return self.expires is None or self.expires > now

    def to_bytes(self) -> bytes:
        """Return the content of the object; `parse` reads it."""
        values = {
            "schema": SCHEMA,
            "versions": {key: list(versions) for key, versions in self.versions.items()},
            "expires": self.expires,
            "note": self.note,
            "objects": None if self.objects is None else list(self.objects),
            "serial": self.serial,
        }
        return json.dumps(values, sort_keys=True).encode()

    @classmethod
    def parse(cls, data: bytes, name: str) -> Pin:
        """Read the pin `name`.

        Raises:
            StoreFormatError: It is damaged, or a newer version of this software wrote it.
        """
        try:
            values = json.loads(data)
            versions = {key: tuple(value) for key, value in values["versions"].items()}
            known = values["schema"] == SCHEMA
            expires = None if values["expires"] is None else float(values["expires"])
            objects = None if values.get("objects") is None else tuple(values["objects"])
            pin = cls(name, versions, expires, values["note"], objects, values.get("serial"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreFormatError(f"the pin {name!r} is damaged") from None
        if not known:
            raise StoreFormatError(f"the pin {name!r} was written by a newer hatch-defs-state")
        return pin


class Lease:
    """A pin of one's own that ends by itself unless it is renewed."""

    def __init__(self, store: ObjectStore, pin: Pin) -> None:
        self._store = store
        self.pin = pin

    @property
    def is_live(self) -> bool:
        """Whether it still protects anything."""
        return self.pin.is_live(time.time())

    def require_live(self) -> None:
        """Check that it still protects what is to be relied on.

        Raises:
            StorageError: It has ended.
        """
        if not self.is_live:
            raise StorageError(
                f"this process was held up for so long that its lease {self.pin.name} has ended",
                hint="nothing was changed; run it again",
            )

    def renew(self, ttl: float) -> None:
        """Let it end `ttl` seconds from now; had it ended, what it protected may be gone."""
        self.pin = replace(self.pin, expires=time.time() + ttl)
        write(self._store, self.pin)

    @contextlib.contextmanager
    def renewing(self, ttl: float) -> Iterator[None]:
        """Renew it in the background, again and again, until the end of the context."""

        def renew() -> None:
            try:
                self.renew(ttl)
            except StorageError as error:
                # Its owner looks whether it is live before relying on it.
                _log.warning("the lease %s could not be renewed: %s", self.pin.name, error.message)

        with repeating(renew, ttl / 3):
            yield

    def release(self) -> None:
        """End it."""
        self._store.delete(self.pin.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What was done under it has succeeded, or failed for a better reason; it ends anyway.
        with contextlib.suppress(StorageError):
            self.release()


@dataclass(frozen=True)
class Condemned:
    """What a clean-up is about to remove.

    Attributes:
        path: Where the list lies.
        objects: Paths of the objects.
        expires: When the clean-up is over at the latest, in seconds since the epoch.
    """

    path: str
    objects: frozenset[str]
    expires: float

    def to_bytes(self) -> bytes:
        """Return the content of the object; `parse` reads it."""
        values = {"schema": SCHEMA, "objects": sorted(self.objects), "expires": self.expires}
        return json.dumps(values, sort_keys=True).encode()

    @classmethod
    def parse(cls, data: bytes, path: str) -> Condemned:
        """Read the list at `path`.

        Raises:
            StoreFormatError: It is damaged.
        """
        try:
            values = json.loads(data)
            return cls(path, frozenset(values["objects"]), float(values["expires"]))
        except (ValueError, KeyError, TypeError):
            raise StoreFormatError(f"{path} is damaged") from None


def write(store: ObjectStore, pin: Pin) -> None:
    """Write a pin down.

    The lease of a process ends with its machine: only what a user has pinned outlives a power
    failure, which makes a push to a local disk cheaper.
    """
    is_users = pin.expires is None or pin.serial is not None
    store.replace(pin.path, pin.to_bytes(), durable=is_users)


def read_pins(store: ObjectStore) -> Iterator[Pin]:
    """Yield all pins in `store`, live or not.

    Raises:
        StoreFormatError: A pin cannot be read: what it protects is unknown.
    """
    found = run_all(lambda info: _read_pin(store, info.path), store.list(PINS))
    yield from (pin for pin in found if pin is not None)


def _read_pin(store: ObjectStore, path: str) -> Pin | None:
    try:
        data = store.get(path)
    except ObjectNotFoundError:  # released meanwhile
        return None
    name = path.removeprefix(f"{PINS}/").removesuffix(".json")
    # A power failure has emptied it, and ended the process that it was the lease of.
    return Pin.parse(data, name) if data else Pin(name, {}, expires=0.0)


def hold(
    store: ObjectStore,
    versions: Mapping[str, Iterable[str]],
    objects: frozenset[str],
    *,
    ttl: float | None,
    name: str | None = None,
    note: str = "",
    shared: Iterable[str] | None = None,
    serial: int | None = None,
) -> Lease:
    """Protect versions from clean-up, from now on, whether their objects are still there or not.

    Args:
        store: The store.
        versions: The versions to protect, for every key.
        objects: Paths of objects that they consist of; a clean-up that removes one is waited for.
        ttl: Seconds until the lease ends; `None` means never.
        name: Name of the pin; by default one that nobody else has.
        note: What to say about it.
        shared: Paths of all shared files that they need; by default their manifests tell.
        serial: The commit whose versions they are, if a user pins one.
    """
    pin = Pin(
        name or f"lease-{uuid.uuid4()}",
        {key: tuple(values) for key, values in versions.items()},
        None if ttl is None else time.time() + ttl,
        note,
        None if shared is None else tuple(sorted(shared)),
        serial,
    )
    if not _NAME.fullmatch(pin.name):
        raise StorageError(
            f"{pin.name!r} cannot be the name of a pin",
            hint="use up to 100 letters, digits, `.`, `_` and `-`, and no `.` at the start",
        )
    lease = Lease(store, pin)
    write(store, pin)
    try:
        _await_cleanups(store, objects, lease, ttl)
    except BaseException:
        with contextlib.suppress(StorageError):
            lease.release()
        raise
    return lease


def _await_cleanups(
    store: ObjectStore, objects: frozenset[str], lease: Lease, ttl: float | None
) -> None:
    renewed = time.monotonic()
    while any(not objects.isdisjoint(condemned) for condemned in _condemned(store)):
        time.sleep(_POLL)
        if ttl is not None and time.monotonic() - renewed > ttl / 3:
            lease.renew(ttl)
            renewed = time.monotonic()


def _condemned(store: ObjectStore) -> Iterator[frozenset[str]]:
    for info in store.list(CONDEMNED):
        with contextlib.suppress(ObjectNotFoundError):  # that clean-up has ended meanwhile
            condemned = Condemned.parse(store.get(info.path), info.path)
            if condemned.expires > time.time():
                yield condemned.objects
