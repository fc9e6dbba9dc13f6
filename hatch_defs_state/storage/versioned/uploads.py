"""New content on its way into the store, kept safe from clean-up until a commit names it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hatch_defs_state.errors import VersionNotFoundError
from hatch_defs_state.storage.versioned import leases
from hatch_defs_state.storage.versioned.layout import FILES
from hatch_defs_state.storage.versioned.leases import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hatch_defs_state.storage.versioned.commits import Commit
    from hatch_defs_state.storage.versioned.content import Content
    from hatch_defs_state.storage.versioned.leases import Lease
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.staging import Staged


class HeadMovedError(Exception):
    """What was concluded from the newest commit does not hold any more."""


@contextlib.contextmanager
def uploaded(
    store: ObjectStore,
    content: Content,
    staged: Sequence[Staged],
    read_head: Callable[[], Commit],
) -> Iterator[Lease]:
    """Store states, and keep them in the store until the end of the context.

    All of it is leased before any of it is there: a clean-up that has begun already is waited for,
    and one that begins later spares it, however old or young it is.

    Args:
        store: The store.
        content: The content in it.
        staged: What to store.
        read_head: Reads the newest commit; files of the same keys that it names are not sent again.

    Yields:
        The lease; it has to be live when a commit comes to name the states.

    Raises:
        VersionConflictError: A version identifier is taken by other content.
    """
    versions = {one.manifest.key: (one.manifest.version,) for one in staged}
    needed = frozenset().union(*(one.manifest.objects() for one in staged))
    sources = {path: source for one in staged for path, source in one.sources.items()}
    shared = [path for path in needed if path.startswith(f"{FILES}/")]
    with (
        leases.hold(
            store, versions, needed, ttl=LEASE_SECONDS, note="a push", shared=shared
        ) as lease,
        lease.renewing(LEASE_SECONDS),
    ):
        existing = content.upload(staged, _known(content, staged, read_head))
        content.check((path, sources[path]) for path in existing & sources.keys())
        yield lease


def _known(
    content: Content, staged: Sequence[Staged], read_head: Callable[[], Commit]
) -> frozenset[str]:
    """Return files that the newest commit names: those cannot have been cleaned up."""
    keys = [one.manifest.key for one in staged if len(one.sources) > 1]
    if not keys:
        return frozenset()
    head = read_head()
    try:
        return content.known_objects((key, head.version_of(key)) for key in keys)
    except VersionNotFoundError:  # it is the newest no more
        return frozenset()
