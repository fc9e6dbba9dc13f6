"""Which writers run: checks of keys, before any writer has started."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, KeyConflictError, raise_all
from hatch_defs_state.storage.keys import check_key, comparable, folder_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hatch_defs_state.components.declaration import ComponentDeclaration


@dataclass(frozen=True)
class Plan:
    """What a refresh does.

    Attributes:
        run: Components whose writers run, one a key, sorted by key, each with its position among
            the declarations that the child process sent.
        elsewhere: Components whose state is kept elsewhere, one a key, sorted by key.
    """

    run: tuple[tuple[int, ComponentDeclaration], ...]
    elsewhere: tuple[ComponentDeclaration, ...]


def make_plan(
    declarations: Sequence[ComponentDeclaration],
    kind: ManagementType = ManagementType.LOCAL_FILESYSTEM,
) -> Plan:
    """Plan a refresh of those of `declarations` whose state is kept as `kind` says.

    Components that share a key and a configuration share a state: one of them writes it.

    Raises:
        DefsStateError: Keys that cannot be folder names or that collide; all of them.
    """
    own: dict[str, tuple[int, ComponentDeclaration]] = {}
    elsewhere: dict[str, ComponentDeclaration] = {}
    for index, declaration in enumerate(declarations):
        if declaration.management_type is kind:
            own.setdefault(declaration.key, (index, declaration))
        else:
            elsewhere.setdefault(declaration.key, declaration)
    raise_all(
        [
            *_bad_keys(declaration for _, declaration in own.values()),
            *_different_configurations(declarations),
            *_shared_folders(declaration for _, declaration in own.values()),
        ]
    )
    return Plan(
        run=tuple(own[key] for key in sorted(own)),
        elsewhere=tuple(elsewhere[key] for key in sorted(elsewhere)),
    )


def _bad_keys(declarations: Iterable[ComponentDeclaration]) -> list[DefsStateError]:
    errors = (check_key(declaration.key, declaration.location) for declaration in declarations)
    return [error for error in errors if error]


def _different_configurations(
    declarations: Iterable[ComponentDeclaration],
) -> list[DefsStateError]:
    errors: list[DefsStateError] = []
    first: dict[str, ComponentDeclaration] = {}
    for declaration in declarations:
        other = first.setdefault(declaration.key, declaration)
        if (other.config_digest, other.management_type) != (
            declaration.config_digest,
            declaration.management_type,
        ):
            errors.append(
                KeyConflictError(
                    f"the component at {other.location} has the same state key "
                    "and another configuration",
                    key=declaration.key,
                    location=declaration.location,
                    hint="give one of the two another key, or make their attributes equal",
                )
            )
    return errors


def _shared_folders(declarations: Iterable[ComponentDeclaration]) -> list[DefsStateError]:
    by_folder: dict[str, list[ComponentDeclaration]] = defaultdict(list)
    for declaration in declarations:
        by_folder[comparable(folder_name(declaration.key))].append(declaration)
    errors: list[DefsStateError] = []
    for first, *others in by_folder.values():
        errors.extend(
            KeyConflictError(
                f"the state key {other.key!r} and the key {first.key!r} at {first.location} "
                f"share the folder {folder_name(first.key)!r}",
                key=other.key,
                location=other.location,
                hint="give one of the two a key that differs in more than case and punctuation",
            )
            for other in others
        )
    return errors
