"""One result of what several components built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hatch_defs_state.errors import ComponentError


def merge(built: Mapping[str, Any]) -> Any:
    """Put together what the components of a code location built.

    Objects of one class that has a class method `merge` are merged by it, as those of Dagster's
    `Definitions` are; mappings become one mapping, lists and tuples one list. `None`, which is what
    a component without state may build, adds nothing.

    Args:
        built: What each component built, by state key.

    Returns:
        The merged object; `None` when nothing was built.

    Raises:
        ComponentError: Two mappings differ in what they hold under one name, or there is no way to
            merge these objects.
    """
    built = {key: result for key, result in built.items() if result is not None}
    results = list(built.values())
    if not results:
        return None
    kinds = {type(result) for result in results}
    if len(kinds) == 1:
        (kind,) = kinds
        if callable(getattr(kind, "merge", None)):
            return kind.merge(*results)
    if all(isinstance(result, Mapping) for result in results):
        return _merge_mappings(built)
    if all(isinstance(result, (list, tuple)) for result in results):
        return [item for result in results for item in result]
    if len(results) == 1:
        return results[0]
    names = ", ".join(sorted(kind.__qualname__ for kind in kinds))
    raise ComponentError(
        f"there is no way to merge what the components built: {names}",
        hint="build mappings, lists, or objects of one class with a class method `merge`; or use "
        "`definitions`, which has them by key",
    )


def _merge_mappings(built: Mapping[str, Mapping[Any, Any]]) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    owners: dict[Any, str] = {}
    for key, mapping in built.items():
        for name, value in mapping.items():
            if name in merged and merged[name] != value:
                raise ComponentError(
                    f"{name!r} was built by the component with the key {owners[name]!r}, too, "
                    "and differs",
                    key=key,
                )
            merged[name] = value
            owners.setdefault(name, key)
    return merged
