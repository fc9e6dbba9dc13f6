"""One load of a code location: the state of every component, and what they build from it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_defs_state.components.loader import load_components
from hatch_defs_state.components.model import LoadContext, ManagementType
from hatch_defs_state.errors import ComponentError, raise_all
from hatch_defs_state.location import development, local
from hatch_defs_state.location.configuration import configure
from hatch_defs_state.location.states import Gathering, keys_of
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.refresh.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_defs_state.components.declaration import LoadedComponent
    from hatch_defs_state.location.configuration import Given
    from hatch_defs_state.location.pins import Pins
    from hatch_defs_state.location.place import Place


@dataclass(frozen=True)
class Load:
    """What one load has read and built.

    Attributes:
        definitions: What each component built, by state key.
        pins: What they were built from.
        resources: What it uses, until it is closed.
    """

    definitions: Mapping[str, Any]
    pins: Pins
    resources: ExitStack = field(default_factory=ExitStack, compare=False)

    def close(self) -> None:
        """Let go of what it uses."""
        self.resources.close()


def load(
    place: Place, given: Given, cache_folder: Path | None, pins: Pins | None, *, is_first: bool
) -> Load:
    """Load a code location.

    Args:
        place: Where it is.
        given: What its caller says.
        cache_folder: Where what it reads is kept; the user's cache by default.
        pins: What another process has read, if the same is to be loaded again.
        is_first: Whether nothing is loaded yet, so that the last commit may stand in for the store.

    Raises:
        DefsStateError: Everything that is wrong with settings, components and state.
    """
    loaded = load_components(place.folder, place.root)
    raise_all(loaded.errors)
    declarations = [component.declaration for component in loaded.components]
    make_plan(declarations)
    # Components that share a key have one configuration: what one of them builds, all would.
    components = {c.declaration.key: c for c in reversed(loaded.components)}
    if pins is None:
        development.refresh(place, given, declarations)
    with ExitStack() as stack:
        cache = VersionCache(cache_folder)
        stack.callback(cache.close)
        keys = keys_of(components, ManagementType.LOCAL_FILESYSTEM)
        if pins is None:
            local_state = local.read(place, keys, cache)
        else:
            digests = {key: pins.local[key] for key in keys if key in pins.local}
            local_state = local.read_pinned(place, digests, cache)
        configuration = configure(place, given, local_state.manifest)
        gathering = Gathering(place, configuration, components, local_state, cache, stack)
        states = gathering.pinned(pins) if pins else gathering.newest(is_first=is_first)
        definitions = {
            key: _build(component, states.paths.get(key), place.root)
            for key, component in sorted(components.items())
        }
        states.snapshots.built()
        return Load(definitions, states.pins, stack.pop_all())


def _build(component: LoadedComponent, state_path: Path | None, root: Path) -> Any:
    declaration = component.declaration
    context = LoadContext(project_root=root, component_path=component.path)
    try:
        return component.component.build_defs_from_state(context, state_path)
    except Exception as error:
        source = "its state" if state_path is not None else "no state, as `allow-missing` allows"
        raise ComponentError(
            f"{declaration.component_type} cannot build definitions from {source}: "
            f"{type(error).__name__}: {error}",
            key=declaration.key,
            location=declaration.location,
        ) from error
