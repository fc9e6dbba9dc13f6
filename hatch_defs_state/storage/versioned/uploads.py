"""New content on its way into the store, kept safe from clean-up until a commit names it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hatch_defs_state.storage.versioned import leases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hatch_defs_state.storage.versioned.commits import Commit
    from hatch_defs_state.storage.versioned.content import Content
    from hatch_defs_state.storage.versioned.objects import ObjectStore
    from hatch_defs_state.storage.versioned.staging import Staged

LEASE_SECONDS = 900.0


class HeadMovedError(Exception):
    """What was concluded from the newest commit does not hold any more."""


@contextlib.contextmanager
def uploaded(
    store: ObjectStore,
    content: Content,
    staged: Sequence[Staged],
    head: Commit,
    read_head: Callable[[], Commit],
) -> Iterator[None]:
    """Store states, and keep them in the store until the end of the context.

    Content that is new in the store is too young for any clean-up. Content that was there before
    could be on its way out, and is leased.

    Args:
        store: The store.
        content: The content in it.
        staged: What to store.
        head: The newest commit; files of the same keys that it names are not sent again.
        read_head: Reads the newest commit again.

    Raises:
        HeadMovedError: The files that `head` names may have been cleaned up since.
        VersionConflictError: A version identifier is taken by other content.
    """
    known = content.known_objects(
        (one.manifest.key, head.version_of(one.manifest.key))
        for one in staged
        if len(one.sources) > 1
    )
    existing = content.upload(staged, known)
    sources = {path: source for one in staged for path, source in one.sources.items()}
    if not existing and known.isdisjoint(sources):
        yield
        return
    versions = {one.manifest.key: (one.manifest.version,) for one in staged}
    needed = frozenset().union(*(one.manifest.objects() for one in staged))
    with leases.hold(store, versions, needed, ttl=LEASE_SECONDS):
        if not known.isdisjoint(sources):
            current = read_head()
            if any(current.version_of(key) != head.version_of(key) for key in versions):
                raise HeadMovedError
        # A clean-up may have removed what was there a moment ago.
        content.upload(staged, frozenset(sources) - existing)
        content.check((path, sources[path]) for path in existing & sources.keys())
        yield
