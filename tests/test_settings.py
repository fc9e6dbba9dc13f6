"""Settings come from files, environment and command line, and every mistake is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state import project as projects
from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.settings import layers
from hatch_defs_state.settings.kinds import parse_duration
from hatch_defs_state.settings.model import DEFAULT_EXCLUDE, Settings

if TYPE_CHECKING:
    from pathlib import Path

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["jobs", "timeout", "exclude", "jbos"]) | st.text(), values))
def test_any_table_is_read_or_refused(table: dict[str, object]) -> None:
    try:
        read = layers.parse_table(table, "tool.defs-state", "pyproject.toml")
    except DefsStateError:
        return
    merged = layers.gather(lambda: read)
    assert merged.jobs >= 1
    assert merged.timeout > 0
    assert all(isinstance(pattern, str) for pattern in merged.exclude)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file() -> None:
    file = layers.parse_table({"jobs": 1, "retries": 1, "timeout": "1m"}, "t", "f")
    environment = layers.parse_environment(
        {"DEFS_STATE_RETRIES": "2", "DEFS_STATE_JOBS": "2", "DEFS_STATE_EXCLUDE": "a/, b"}
    )
    line = layers.parse_options({"jobs": "3", "timeout": None})
    assert layers.gather(lambda: file, lambda: environment, lambda: line) == Settings(
        jobs=3, retries=2, timeout=60.0, exclude=("a/", "b")
    )


def test_nothing_configured_means_the_documented_defaults() -> None:
    defaults = layers.gather()
    assert (defaults.jobs, defaults.timeout, defaults.retries) == (8, 600.0, 0)
    assert defaults.exclude == DEFAULT_EXCLUDE


def test_tables_of_hatch_toml_replace_those_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.hatch.build.hooks.defs-state]\njobs = 2\ntimeout = '1m'\n"
        "[tool.hatch.envs.default]\nskip-install = true\n",
        "utf-8",
    )
    (tmp_path / "hatch.toml").write_text("[build.hooks.defs-state]\njobs = 3\n", "utf-8")
    config = projects.read_config(tmp_path)
    assert layers.gather(lambda: projects.file_settings(config)) == Settings(jobs=3)
    assert config.pyproject["tool"]["hatch"]["envs"] == {"default": {"skip-install": True}}


def test_mistakes_in_the_environment_name_the_variable() -> None:
    with pytest.raises(DefsStateError) as caught:
        layers.parse_environment({"DEFS_STATE_JOBS": "many", "DEFS_STATE_TIMEOUT": "0s"})
    assert str(caught.value) == (
        "environment: DEFS_STATE_TIMEOUT: "
        'expected a duration such as "90s", "10m" or "24h", got \'0s\'\n'
        "environment: DEFS_STATE_JOBS: expected a whole number of at least 1, got 'many'"
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_single_keys_have_settings_of_their_own() -> None:
    table = {
        "timeout": "1m",
        "components": {
            "dbt*": {"timeout": "5m", "inputs": ["dbt/**"]},
            "dbt[[]shop]": {"retries": 2, "max-shrink": 0.1},
        },
    }
    read = layers.gather(lambda: layers.parse_table(table, "t", "f"))
    shop = read.of("dbt[shop]")
    assert (shop.timeout, shop.retries, shop.max_shrink, shop.inputs) == (300, 2, 0.1, ("dbt/**",))
    assert (read.of("dbt").timeout, read.of("dbt").retries) == (300, 0)
    assert read.of("fivetran").timeout == 60


def test_mistakes_in_the_settings_of_keys_name_their_place() -> None:
    table = {
        "components": {
            "dbt*": {"timeot": "1s", "on-failure": "never", "inputs": ["/etc/dbt/*"]},
            "x": 3,
        }
    }
    with pytest.raises(DefsStateError) as caught:
        layers.parse_table(table, "tool.defs-state", "pyproject.toml")
    assert str(caught.value) == (
        'pyproject.toml: tool.defs-state.components."dbt*".timeot: unknown setting; '
        "did you mean 'timeout'?\n"
        "  hint: known are inputs, max-age, max-shrink, on-failure, retries, timeout\n"
        'pyproject.toml: tool.defs-state.components."dbt*".on-failure: '
        'expected "fail" or "last-good", got \'never\'\n'
        'pyproject.toml: tool.defs-state.components."dbt*".inputs: '
        "expected an array of globs relative to the project, got ['/etc/dbt/*']\n"
        'pyproject.toml: tool.defs-state.components."x": expected a table, got 3'
    )
