"""What a refresh will run is decided, and what is wrong with it is said, before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, KeyConflictError, SourceLocation, flatten
from hatch_defs_state.refresh.plan import make_plan
from hatch_defs_state.storage.keys import check_key, comparable, folder_name

keys = st.text("aA/:_.", max_size=3) | st.sampled_from(["..", "", "manifest.json", "x" * 256])
declarations = st.lists(
    st.builds(
        ComponentDeclaration,
        key=keys,
        management_type=st.sampled_from(ManagementType),
        component_type=st.just("shop.Orders"),
        location=st.builds(SourceLocation, st.just("defs.yaml"), st.integers(1, 9)),
        config_digest=st.sampled_from("12"),
    ),
    max_size=6,
)


def declaration(key: str, line: int = 1, digest: str = "1") -> ComponentDeclaration:
    return ComponentDeclaration(
        key=key,
        management_type=ManagementType.LOCAL_FILESYSTEM,
        component_type="shop.Orders",
        location=SourceLocation("defs.yaml", line),
        config_digest=digest,
    )


@given(declarations)
def test_a_plan_has_every_key_once_and_no_two_in_one_folder(
    found: list[ComponentDeclaration],
) -> None:
    try:
        plan = make_plan(found)
    except DefsStateError as error:
        assert all(isinstance(each, KeyConflictError) for each in flatten([error]))
        return
    local = [d.key for d in found if d.management_type is ManagementType.LOCAL_FILESYSTEM]
    planned = [d.key for _, d in plan.run]
    assert planned == sorted(set(local))
    assert [d.key for d in plan.elsewhere] == sorted({d.key for d in found} - set(local))
    folders = [comparable(folder_name(key)) for key in planned]
    assert len(set(folders)) == len(folders)
    assert not any(check_key(key) for key in planned)
    assert all(found[index] is planned_one for index, planned_one in plan.run)


def test_components_with_one_key_and_one_configuration_are_written_once() -> None:
    plan = make_plan([declaration("orders", 1), declaration("orders", 5)])
    assert [(index, d.key) for index, d in plan.run] == [(0, "orders")]


def test_components_with_one_key_and_two_configurations_are_refused() -> None:
    with pytest.raises(KeyConflictError) as caught:
        make_plan([declaration("orders", 1, "1"), declaration("orders", 5, "2")])
    assert str(caught.value) == (
        "defs.yaml:5: [orders] the component at defs.yaml:1 has the same state key "
        "and another configuration\n"
        "  hint: give one of the two another key, or make their attributes equal"
    )


def test_a_key_that_is_too_long_for_a_file_name_is_refused() -> None:
    with pytest.raises(KeyConflictError, match="its folder name has 256 characters"):
        make_plan([declaration("x" * 256)])
