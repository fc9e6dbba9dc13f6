"""What several components built becomes one object, or an error that says why not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hatch_defs_state.errors import ComponentError
from hatch_defs_state.location.merging import merge


@dataclass(frozen=True)
class Definitions:
    names: tuple[str, ...]

    @classmethod
    def merge(cls, *parts: Definitions) -> Definitions:
        return cls(tuple(name for part in parts for name in part.names))


def test_classes_that_can_merge_do_it_themselves() -> None:
    built = {"a": Definitions(("x",)), "b": Definitions(("y", "z"))}
    assert merge(built) == Definitions(("x", "y", "z"))


def test_mappings_become_one_and_lists_become_one() -> None:
    assert merge({"a": {"x": 1}, "b": {"y": 2, "x": 1}}) == {"x": 1, "y": 2}
    assert merge({"a": [1], "b": (2, 3)}) == [1, 2, 3]


def test_a_single_object_is_the_result_and_none_is_that_of_nothing() -> None:
    assert merge({"a": "text"}) == "text"
    assert merge({}) is None
    assert merge({"a": None, "b": {"x": 1}, "c": {"y": 2}}) == {"x": 1, "y": 2}


def test_mappings_that_contradict_each_other_are_an_error() -> None:
    with pytest.raises(ComponentError) as caught:
        merge({"a": {"x": 1}, "b": {"x": 2}})
    assert str(caught.value) == (
        "[b] 'x' was built by the component with the key 'a', too, and differs"
    )


def test_objects_that_nobody_can_merge_are_an_error() -> None:
    with pytest.raises(ComponentError) as caught:
        merge({"a": "text", "b": 1})
    assert str(caught.value) == (
        "there is no way to merge what the components built: int, str\n"
        "  hint: build mappings, lists, or objects of one class with a class method `merge`; or "
        "use `definitions`, which has them by key"
    )
