"""A YAML file is read with the place of everything in it, or refused with a place."""

from __future__ import annotations

import os
import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.components import yaml_source
from hatch_defs_state.components.yaml_source import Document, parse, read
from hatch_defs_state.components.yaml_values import MAX_DEPTH, MAX_VALUES
from hatch_defs_state.errors import ComponentError, SourceLocation

if TYPE_CHECKING:
    from pathlib import Path

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")

CANNOT_START = (
    "invalid YAML: while scanning for the next token, "
    "found character '{}' that cannot start any token"
)

FRAGMENTS = (
    *"{}[],:-?'\"|>&*!%@`#=~\\ \n\t\r\u2028\x85\ufeff\x00é",
    *(
        ": ",
        "- ",
        "? ",
        "a",
        "b: 1\n",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!str ",
        "!!python/name:os ",
    ),
    *(
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "%YAML 1.",
        "%TAG ! x\n",
        "\\UFFFFFFFF",
        "\\ud800",
        "!!bool ",
    ),
    *("0x_", "1:30", "1_0", "2026-01-01", ".inf", "null", "on", "!!float ", "!!timestamp ", "<<"),
)


def parse_one(text: str) -> Document:
    (document,) = parse(dedent(text).lstrip("\n"), "defs.yaml")
    return document


def refusal(text: str) -> str:
    with pytest.raises(ComponentError) as caught:
        parse(dedent(text).lstrip("\n"), "defs.yaml")
    return f"{caught.value.location}: {caught.value.message}"


def place(line: int, column: int) -> SourceLocation:
    return SourceLocation("defs.yaml", line, column)


def test_every_key_and_value_has_its_line_and_column() -> None:
    document = parse_one("""
        type: shop.Catalog
        attributes:
          tables:
            - name: orders
              columns: [id, total]
    """)
    assert document.value == {
        "type": "shop.Catalog",
        "attributes": {"tables": [{"name": "orders", "columns": ["id", "total"]}]},
    }
    assert document.values[()] == place(1, 1)
    assert document.keys["type",] == place(1, 1)
    assert document.values["type",] == place(1, 7)
    assert document.keys["attributes", "tables"] == place(3, 3)
    assert document.values["attributes", "tables", 0] == place(4, 7)
    assert document.keys["attributes", "tables", 0, "columns"] == place(5, 7)
    assert document.values["attributes", "tables", 0, "columns", 1] == place(5, 21)


def test_a_file_may_hold_several_documents_and_empty_ones_are_skipped() -> None:
    documents = parse("---\na: 1\n---\n---\n# nothing\n---\nnull\n---\nb: 2\n", "defs.yaml")
    assert [document.value for document in documents] == [{"a": 1}, {"b": 2}]
    assert [document.values[()] for document in documents] == [place(2, 1), place(9, 1)]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "--- \n...\n", "~"])
def test_a_file_that_says_nothing_has_no_documents(text: str) -> None:
    assert parse(text, "defs.yaml") == ()


def test_scalars_are_what_json_knows_and_dates_stay_strings() -> None:
    text = "[1, 1.5, true, null, x, '1', 2026-01-01, 2026-01-01T10:00:00Z, <<, =]"
    value = parse_one(text).value
    assert value == [
        *(1, 1.5, True, None, "x", "1", "2026-01-01", "2026-01-01T10:00:00Z", "<<", "="),
    ]


def test_keys_are_texts_as_they_are_written() -> None:
    assert parse_one("{on: 1, 2: 2, 2026-01-01: 3, null: 4}").value == {
        "on": 1,
        "2": 2,
        "2026-01-01": 3,
        "null": 4,
    }


def test_an_alias_gives_a_value_of_its_own() -> None:
    document = parse_one("{a: &shared [1], b: *shared}")
    assert isinstance(document.value, dict)
    assert document.value == {"a": [1], "b": [1]}
    assert document.value["a"] is not document.value["b"]
    assert document.values["b", 0] == document.values["a", 0] == place(1, 14)


def test_merge_keys_inherit_and_are_overridden() -> None:
    document = parse_one("""
        base: &base {host: a, port: 1}
        other: &other {host: b, user: c}
        merged:
          <<: [*base, *other]
          port: 2
    """)
    assert isinstance(document.value, dict)
    assert document.value["merged"] == {"host": "a", "port": 2, "user": "c"}
    assert document.keys["merged", "user"] == place(2, 25)
    assert document.keys["merged", "port"] == place(5, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c\n", "1:5: invalid YAML: mapping values are not allowed here"),
        (
            "a: [1, 2\nb: 3\n",
            "2:2: invalid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        ("a: @b\n", f"1:4: {CANNOT_START.format('@')}"),
        ("a:\n\tb: 1\n", f"2:1: {CANNOT_START.format(chr(92) + 't')}"),
        ("a: *b\n", "1:4: invalid YAML: found undefined alias 'b'"),
        ("a: x\x07\n", "1:5: invalid YAML: the character U+0007 is not allowed"),
        ("a: 1\nb: 2\na: 3\n", "3:1: duplicate key 'a', first in line 1"),
        ("a: {b: 1, b: 2}\n", "1:11: duplicate key 'b', first in line 1"),
        ("<<: {a: 1}\n<<: {b: 1}\n", "2:1: duplicate key '<<', first in line 1"),
        ("<<: 1\n", "1:5: << takes a mapping or a list of mappings"),
        (
            "a: !!python/object:os.system x\n",
            "1:4: the tag '!!python/object:os.system' is not supported",
        ),
        (
            "!!python/name:os.system a: 1\n",
            "1:1: the tag '!!python/name:os.system' is not supported",
        ),
        ("a: !secret x\n", "1:4: the tag '!secret' is not supported"),
        ("a: !!set {b}\n", "1:4: the tag '!!set' is not supported"),
        ("a: !!timestamp 2026-01-01\n", "1:4: the tag '!!timestamp' is not supported"),
        ("a: !!binary eA==\n", "1:4: the tag '!!binary' is not supported"),
        ("a: !!map [1]\n", "1:4: the tag '!!map' is not supported"),
        ("a: !!int x\n", "1:4: 'x' is not a valid int"),
        ("a: 0x_\n", "1:4: '0x_' is not a valid int"),
        ("? [a]\n: 1\n", "1:3: a mapping or a list cannot be a key"),
        ("?\n: 1\n", "1:2: a key is empty"),
        ("a: &a [*a]\n", "1:4: the value holds itself through an alias"),
        ("a: &a {b: {<<: *a}}\n", "1:4: the value holds itself through an alias"),
        ('a: "\\ud800"\n', "1:4: a surrogate is no character of its own"),
        (f"a: {'9' * 1001}\n", "1:4: the number is too long"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(text: str, expected: str) -> None:
    assert refusal(text) == f"defs.yaml:{expected}"


def test_an_impossible_escape_is_refused() -> None:
    assert refusal('a: "\\UFFFFFFFF"\n').startswith("defs.yaml:1:")


@pytest.mark.parametrize("text", ["a: {{ project_root }}\n", "a: {{ project_root }}/data\n"])
def test_a_template_without_quotes_is_explained(text: str) -> None:
    with pytest.raises(ComponentError) as caught:
        parse(text, "defs.yaml")
    assert caught.value.location is not None
    assert caught.value.location.line == 1
    expected = "put a value that begins with {{ in quotes: without them it is a mapping"
    assert caught.value.hint == expected


def test_deep_nesting_is_refused_wherever_it_comes_from() -> None:
    deep = f"nested deeper than {MAX_DEPTH} levels"
    assert parse("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "defs.yaml")
    assert refusal("[" * 100_000).endswith(deep)
    half = "[" * (MAX_DEPTH - 10) + "{}" + "]" * (MAX_DEPTH - 10)
    assert refusal(f"a: &a {half.format('1')}\nb: {half.format('*a')}\n").endswith(deep)


def test_a_long_chain_of_merges_is_refused() -> None:
    chain = ", ".join(f"k{i}: &a{i} {{<<: *a{i - 1}}}" for i in range(1, 500))
    assert "nested deeper than" in refusal(f"{{k0: &a0 {{x: 1}}, {chain}, <<: *a499}}")


def test_aliases_that_multiply_are_refused() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    message = f"more than {MAX_VALUES} values, aliases included"
    assert refusal(f"a0: &a0 x\n{levels}").endswith(message)


def test_long_texts_that_multiply_are_refused() -> None:
    text = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]\n"
    assert refusal(text).endswith("values, aliases included")


def test_merges_that_multiply_cost_nothing() -> None:
    levels = "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))
    document = parse_one(f"a0: &a0 {{x: 1}}\n{levels}")
    assert isinstance(document.value, dict)
    assert document.value["a39"] == {"x": 1}


def test_a_file_is_read_as_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    (document,) = read(file, "defs.yaml")
    assert document.value == {"a": "é"}
    assert document.keys["a",] == place(1, 1)


def test_a_file_that_is_not_utf8_is_refused_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ComponentError) as caught:
        read(file, "defs.yaml")
    assert str(caught.value) == "defs.yaml:2: the file is not UTF-8\n  hint: save it as UTF-8"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").symlink_to("absent")
    for name, reason in (
        ("broken.yaml", "the file cannot be read: No such file or directory"),
        (".", "not a regular file"),
    ):
        with pytest.raises(ComponentError) as caught:
            read(tmp_path / name, "defs.yaml")
        assert str(caught.value) == f"defs.yaml: {reason}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_named_pipe_does_not_block_the_loading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "defs.yaml")
    with pytest.raises(ComponentError, match="not a regular file"):
        read(tmp_path / "defs.yaml", "defs.yaml")


@given(st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)))
def test_any_text_is_parsed_or_refused_at_a_place_within_it(text: str) -> None:
    lengths = [len(line) for line in LINE_BREAK.split(text)]

    def assert_within(location: SourceLocation | None) -> None:
        assert location is not None
        assert location.line is not None
        assert location.column is not None
        assert 1 <= location.line <= len(lengths)
        assert 1 <= location.column <= lengths[location.line - 1] + 1

    try:
        documents = parse(text, "defs.yaml")
    except ComponentError as error:
        assert "\n" not in error.message
        assert_within(error.location)
        return
    for document in documents:
        assert document.value is not None
        for location in (*document.values.values(), *document.keys.values()):
            assert_within(location)


@given(st.binary())
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    try:
        read(file, "defs.yaml")
    except ComponentError as error:
        assert error.location is not None


PLAIN = (*"{}[],:-'\"#=~ \na", *(": ", "- ", "b: 1\n", "<<: ", "---\n", "on", "c:\n  ", "[x, y]\n"))


@given(st.lists(st.sampled_from(PLAIN), max_size=14).map("".join))
def test_libyaml_reads_plain_texts_like_the_parser_in_python(text: str) -> None:
    quick = yaml_source.parse_quickly(text, "defs.yaml")
    assert quick is None or quick == yaml_source.parse_thoroughly(text, "defs.yaml")
