"""Templates are filled in wherever a string stands, or refused at that string's place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.components.templates import Resolution, Scope, resolve
from hatch_defs_state.components.yaml_source import parse
from hatch_defs_state.errors import ComponentError

SCOPE = Scope("/srv/shop", {"HOST": "db", "PORT": "5432", "EMPTY": "", "NESTED": "{{ env.HOST }}"})
ALLOWED = "{{ env.NAME }} and {{ project_root }} are allowed"


def resolve_text(yaml: str) -> Resolution:
    (document,) = parse(yaml, "defs.yaml")
    return resolve(document, (), SCOPE)


def fill(text: str) -> object:
    resolution = resolve_text(json.dumps([text]))
    assert resolution.errors == ()
    assert isinstance(resolution.value, list)
    return resolution.value[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ env.HOST }}", "db"),
        ("{{env.HOST}}", "db"),
        ("{{\tenv.HOST\n}}", "db"),
        ("{{ project_root }}/data", "/srv/shop/data"),
        ("postgres://{{ env.HOST }}:{{ env.PORT }}/{{ env.HOST }}", "postgres://db:5432/db"),
        ("{{ env.EMPTY }}", ""),
        ("no template", "no template"),
        ("{ env.HOST } }}", "{ env.HOST } }}"),
    ],
)
def test_templates_are_filled_in(text: str, expected: str) -> None:
    assert fill(text) == expected


def test_what_is_filled_in_is_not_searched_again() -> None:
    assert fill("{{ env.NESTED }}") == "{{ env.HOST }}"


def test_templates_are_filled_in_at_any_depth_but_not_in_keys() -> None:
    resolution = resolve_text('{"{{ env.HOST }}": [1, {a: ["{{ env.HOST }}", null]}]}')
    assert resolution.value == {"{{ env.HOST }}": [1, {"a": ["db", None]}]}


def test_a_string_knows_whether_it_is_a_template_as_a_whole() -> None:
    resolution = resolve_text(
        '["{{ env.PORT }}", "1{{ env.PORT }}", "{{env.HOST}}{{env.HOST}}", x]'
    )
    assert [resolution.is_whole((index,)) for index in range(4)] == [True, False, False, False]


def test_a_missing_variable_is_reported_at_its_string() -> None:
    (error,) = resolve_text("url:\n  - https://{{ env.WAREHOUSE_URL }}/\n").errors
    assert str(error) == (
        "defs.yaml:2:5: environment variable WAREHOUSE_URL is not set\n"
        "  hint: set it for the process that builds, refreshes or loads the project"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ foo }}", "unknown template {{ foo }}"),
        ("{{ env.HOST | upper }}", "unknown template {{ env.HOST | upper }}"),
        ("{{ env('HOST') }}", "unknown template {{ env('HOST') }}"),
        ("{{ env. }}", "unknown template {{ env. }}"),
        ("{{ env.1A }}", "unknown template {{ env.1A }}"),
        ("{{}}", "unknown template {{  }}"),
        ("{{ a {{ env.HOST }}", "unknown template {{ a {{ env.HOST }}"),
        ("x {{ env.HOST", "{{ without }}"),
        ("{{ env.HOST }} {{", "{{ without }}"),
        ("{{ env.HOST }", "{{ without }}"),
    ],
)
def test_anything_else_in_braces_is_refused(text: str, message: str) -> None:
    (error,) = resolve_text(f"a: {json.dumps(text)}").errors
    assert str(error) == f"defs.yaml:1:4: {message}\n  hint: {ALLOWED}"


def test_all_mistakes_are_reported_together() -> None:
    resolution = resolve_text(
        'a: "{{ env.A }}{{ env.B }}"\nb: ["{{ c }}", "{{ env.HOST }}", "{{"]\n'
    )
    assert [str(error).splitlines()[0] for error in resolution.errors] == [
        "defs.yaml:1:4: environment variable A is not set",
        "defs.yaml:1:4: environment variable B is not set",
        "defs.yaml:2:5: unknown template {{ c }}",
        "defs.yaml:2:34: {{ without }}",
    ]
    assert resolution.failed == {("a",), ("b", 0), ("b", 2)}


texts = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["{", "}", "{{", "}}", " ", "env.", "HOST", "X", "project_root", "a", "\n"])
    ).map("".join),
)


@given(texts)
def test_any_string_is_filled_in_or_refused(text: str) -> None:
    try:
        resolution = resolve_text(json.dumps([text], ensure_ascii=True))
    except ComponentError:
        return
    assert isinstance(resolution.value, list)
    assert all(error.location is not None for error in resolution.errors)
    assert bool(resolution.errors) == bool(resolution.failed)
    if "{{" not in text or resolution.errors:
        assert resolution.value == [text]


@given(texts)
def test_a_value_of_the_environment_arrives_as_it_is(text: str) -> None:
    (document,) = parse("'<{{ env.X }}>'", "defs.yaml")
    assert resolve(document, (), Scope("/", {"X": text})).value == f"<{text}>"
