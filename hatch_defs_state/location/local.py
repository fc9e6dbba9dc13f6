"""Local state of a code location: checked, and out of the reach of refreshes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.errors import DefsStateError, StateError, advise, raise_all
from hatch_defs_state.storage import generation as generations
from hatch_defs_state.storage.keys import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hatch_defs_state.location.place import Place
    from hatch_defs_state.location.version_cache import VersionCache
    from hatch_defs_state.storage.manifest import Manifest

_ATTEMPTS = 3


@dataclass(frozen=True)
class LocalState:
    """The local state that one load reads.

    Attributes:
        manifest: The manifest beside it; `None` when no refresh has ever made one.
        folders: For every key that is wanted and there, the folder that holds its `state`.
    """

    manifest: Manifest | None
    folders: Mapping[str, Path]

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the state of each key."""
        keys = self.manifest.keys if self.manifest else {}
        return {key: keys[key].digest for key in self.folders}


def read(place: Place, keys: Iterable[str], cache: VersionCache) -> LocalState:
    """Read and check the generation of a code location.

    A refresh exchanges the whole generation in a source tree, under the feet of who reads it by
    path. So what is read there is copied into the cache, once for every content. An installed
    generation is not refreshed, and used in its place.

    Args:
        place: Where the code location is.
        keys: The keys that are wanted.
        cache: Receives the copies.

    Raises:
        DefsStateError: The generation is damaged, or the cache cannot be written.
    """
    if is_bare(place):
        return LocalState(None, {})
    if not place.is_refreshed_in_place:
        manifest = _generation(place).manifest
        found = {key: place.state_folder / folder_name(key) for key in keys if key in manifest.keys}
        return LocalState(manifest, found)
    for attempt in range(_ATTEMPTS):
        with cache.receiving() as received:
            manifest = _generation(place, received.take).manifest
            entries = {key: manifest.keys[key] for key in keys if key in manifest.keys}
            try:
                return LocalState(manifest, cache.keep_local(entries, received))
            except StateError:
                # What the cache had is not copied again, unless it turns out to be gone.
                if attempt == _ATTEMPTS - 1:
                    raise
    raise AssertionError  # the last attempt has returned, or raised


def read_pinned(place: Place, digests: Mapping[str, str], cache: VersionCache) -> LocalState:
    """Read the local state that another process has read.

    Args:
        place: Where the code location is.
        digests: The digest of each key's state.
        cache: Has what was read from a source tree, even if that was refreshed since.

    Raises:
        StateError: The state is another one here.
        DefsStateError: The generation is damaged.
    """
    if not place.is_refreshed_in_place:
        return _require(digests, read(place, digests, cache), {})
    folders = cache.find_local(digests)
    if digests.keys() <= folders.keys():
        return LocalState(None, folders)
    return _require(digests, read(place, digests, cache), folders)


def _require(
    digests: Mapping[str, str], found: LocalState, cached: Mapping[str, Path]
) -> LocalState:
    present = found.digests
    raise_all(
        StateError(
            "the state is not the pinned one: its digest is "
            f"{present[key][:12] + '…' if key in present else 'none'} instead of {digest[:12]}…",
            key=key,
            hint="load the code location with the same build, and the same state, in both "
            "processes",
        )
        for key, digest in digests.items()
        if key not in cached and present.get(key) != digest
    )
    return LocalState(found.manifest, {**found.folders, **cached})


def check(place: Place) -> None:
    """Check the generation of a code location, if there is one.

    Raises:
        DefsStateError: It is damaged.
    """
    if not is_bare(place):
        _generation(place)


def _generation(place: Place, take: generations.Take | None = None) -> generations.Generation:
    try:
        return generations.read(place.state_folder, take)
    except DefsStateError as error:
        advise(
            error,
            "run `defs-state refresh`"
            if place.is_refreshed_in_place
            else f"{place.state_folder} was altered; install the package again",
        )
        raise


def is_bare(place: Place) -> bool:
    """Whether no refresh has ever put a generation there."""
    folder = place.state_folder
    # Looked at twice, because a swap may end in between.
    return (
        _is_empty(folder) and not generations.beside(folder, "old").exists() and _is_empty(folder)
    )


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing, or nothing but what Dagster makes on its own."""
    try:
        return {path.name for path in folder.iterdir()} <= {generations.GITIGNORE_NAME}
    except FileNotFoundError:
        return True
