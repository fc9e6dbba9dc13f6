"""What a component is: a writer of state and a builder of definitions, with a key.

The model follows Dagster's `StateBackedComponent` (dagster 1.12 and later), so that a component can
move between the two with no change but its base class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path


class ManagementType(str, Enum):
    """Where a component's state is kept; values are Dagster's names."""

    LOCAL_FILESYSTEM = "LOCAL_FILESYSTEM"
    VERSIONED_STATE_STORAGE = "VERSIONED_STATE_STORAGE"
    LEGACY_CODE_SERVER_SNAPSHOTS = "LEGACY_CODE_SERVER_SNAPSHOTS"


@dataclass(frozen=True)
class DefsStateConfig:
    """How the state of one component is named and kept.

    Attributes:
        key: Names the state; unique in a code location.
        management_type: Where the state is kept.
        refresh_if_dev: Whether the state is refreshed whenever definitions load in development.
    """

    key: str
    management_type: ManagementType = ManagementType.LOCAL_FILESYSTEM
    refresh_if_dev: bool = True


@dataclass(frozen=True)
class LoadContext:
    """What a component may know of its surroundings while it builds definitions.

    Attributes:
        project_root: The project's folder: the source tree's root or, when installed, the folder of
            the package.
        component_path: The folder that holds the component's `defs.yaml`.
    """

    project_root: Path
    component_path: Path


class StateBackedComponent(ABC):
    """A component whose definitions are built from state that was fetched earlier.

    Subclasses are usually dataclasses: the fields are the attributes that `defs.yaml` may set.
    """

    @property
    @abstractmethod
    def defs_state_config(self) -> DefsStateConfig:
        """Key and management type of this component's state."""

    @abstractmethod
    def write_state_to_path(self, state_path: Path) -> Awaitable[None] | None:
        """Fetch the state and write it to `state_path`.

        May be a coroutine function. The parent folder of `state_path` exists and is empty; all that
        is left in it, siblings of `state_path` included, is the state.

        Args:
            state_path: A path named `state` that does not exist yet; becomes a file or a folder.
        """

    @abstractmethod
    def build_defs_from_state(self, context: LoadContext, state_path: Path | None) -> Any:
        """Build definitions from the state at `state_path`, without asking any other system.

        Args:
            context: Where the component stands.
            state_path: What `write_state_to_path` wrote, perhaps on another machine.

        Returns:
            Definitions of whatever kind the project's code consumes.
        """
