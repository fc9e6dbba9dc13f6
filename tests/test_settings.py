"""Settings come from files, environment and command line, and every mistake is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state import settings
from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.settings import DEFAULT_EXCLUDE, Settings

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["jobs", "timeout", "exclude", "jbos"]) | st.text(), values))
def test_any_table_is_read_or_refused(table: dict[str, object]) -> None:
    try:
        read = settings.parse_table(table, "tool.defs-state", "pyproject.toml")
    except DefsStateError:
        return
    merged = settings.gather(lambda: read)
    assert merged.jobs >= 1
    assert merged.timeout > 0
    assert all(isinstance(pattern, str) for pattern in merged.exclude)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file() -> None:
    file = settings.parse_table({"jobs": 1, "retries": 1, "timeout": "1m"}, "t", "f")
    environment = settings.parse_environment(
        {"DEFS_STATE_RETRIES": "2", "DEFS_STATE_JOBS": "2", "DEFS_STATE_EXCLUDE": "a/, b"}
    )
    line = settings.parse_options({"jobs": "3", "timeout": None})
    assert settings.gather(lambda: file, lambda: environment, lambda: line) == Settings(
        jobs=3, retries=2, timeout=60.0, exclude=("a/", "b")
    )


def test_nothing_configured_means_the_documented_defaults() -> None:
    defaults = settings.gather()
    assert (defaults.jobs, defaults.timeout, defaults.retries) == (8, 600.0, 0)
    assert defaults.exclude == DEFAULT_EXCLUDE


def test_mistakes_in_the_environment_name_the_variable() -> None:
    with pytest.raises(DefsStateError) as caught:
        settings.parse_environment({"DEFS_STATE_JOBS": "many", "DEFS_STATE_TIMEOUT": "0s"})
    assert str(caught.value) == (
        "environment: DEFS_STATE_JOBS: expected a whole number of at least 1, got 'many'\n"
        "environment: DEFS_STATE_TIMEOUT: "
        'expected a duration such as "90s", "10m" or "24h", got \'0s\''
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert settings.parse_duration(text) == seconds
