"""Attributes become what a class declares, or every mistake in them is reported at its place."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NewType,
    Optional,
    TypeVar,
    Union,
)

import pytest

from hatch_defs_state.components.attributes import Binding, bind
from hatch_defs_state.components.documents import examine
from hatch_defs_state.components.templates import Scope
from hatch_defs_state.components.yaml_source import parse

if TYPE_CHECKING:
    from decimal import Decimal

SCOPE = Scope("/srv/shop", {"PORT": "5432", "WORD": "s3cr3t", "YES": "true", "RATE": "0.5"})
OptionalInt = Optional[int]  # noqa: UP045 - another object at run time than int | None
IntOrStr = Union[int, str]  # noqa: UP007
T = TypeVar("T")
Name = NewType("Name", str)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Column:
    name: str
    width: int = 1


@dataclass
class Tree:
    children: list[Tree] = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Even:
    value: int

    def __post_init__(self) -> None:
        if self.value % 2:
            raise ValueError(f"{self.value} is odd\nand that is that")


def bind_text(cls: type, yaml: str) -> Binding:
    (document,) = parse(dedent(yaml).lstrip("\n"), "defs.yaml")
    declared = examine(document, SCOPE)
    binding = bind(cls, declared, Path("/srv/shop"))
    return Binding(binding.arguments, (*declared.errors, *binding.errors))


def class_of(annotation: object) -> type:
    """Return a class with the one attribute `x`."""

    class One:
        def __init__(self, x: Any) -> None:
            self.x = x

    One.__init__.__annotations__["x"] = annotation
    return One


def convert(annotation: object, yaml: str) -> object:
    binding = bind_text(class_of(annotation), f"type: a.B\nattributes:\n  x: {yaml}\n")
    assert binding.errors == ()
    return binding.arguments["x"]


def errors_of(cls: type, yaml: str) -> list[str]:
    return [f"{error.location}: {error.message}" for error in bind_text(cls, yaml).errors]


def refusal(annotation: object, yaml: str) -> str:
    (error,) = errors_of(class_of(annotation), f"type: a.B\nattributes:\n  x: {yaml}\n")
    return error


@pytest.mark.parametrize(
    ("annotation", "yaml", "expected"),
    [
        (str, "a", "a"),
        (str, "2026-01-01", "2026-01-01"),
        (int, "1", 1),
        (float, "1.5", 1.5),
        (float, "1", 1.0),
        (bool, "yes", True),
        (None, "null", None),
        (OptionalInt, "null", None),
        (OptionalInt, "1", 1),
        (IntOrStr, "a", "a"),
        (int | str, "1", 1),
        (float | int, "1", 1),
        (Path | str, "a", "a"),
        (list[int] | None, "[1]", [1]),
        (list, "[1, a]", [1, "a"]),
        (Sequence[str], "[a]", ["a"]),
        (tuple, "[1, a]", (1, "a")),
        (tuple[str, ...], "[a, b]", ("a", "b")),
        (tuple[str, ...], "[]", ()),
        (tuple[str, int], "[a, 1]", ("a", 1)),
        (dict, "{a: [1]}", {"a": [1]}),
        (dict[str, float], "{a: 1}", {"a": 1.0}),
        (Mapping[str, list[int]], "{a: [1]}", {"a": [1]}),
        (Literal["a", 1], "1", 1),
        (Color, "blue", Color.BLUE),
        (list[Color], "[red]", [Color.RED]),
        (Level, "1", Level.LOW),
        (Path, "a/b", Path("a/b")),
        (Column, "{name: id}", Column("id")),
        (list[Column], "[{name: id, width: 2}]", [Column("id", 2)]),
        (dict[str, Column], "{a: {name: id}}", {"a": Column("id")}),
        (str | Column, "{name: id}", Column("id")),
        (Tree, "{children: [{}, {children: [{}]}]}", Tree([Tree(), Tree([Tree()])])),
        (Box[int], "{content: a}", Box("a")),
        (Any, "[1, {a: null}]", [1, {"a": None}]),
        (object, "a", "a"),
        (Annotated[int, "positive"], "1", 1),
        (Name, "a", "a"),
    ],
)
def test_a_value_becomes_the_declared_type(annotation: object, yaml: str, expected: object) -> None:
    converted = convert(annotation, yaml)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "template", "expected"),
    [
        (int, "{{ env.PORT }}", 5432),
        (float, "{{ env.RATE }}", 0.5),
        (float, "{{ env.PORT }}", 5432.0),
        (bool, "{{ env.YES }}", True),
        (OptionalInt, "{{ env.PORT }}", 5432),
        (int | str, "{{ env.PORT }}", "5432"),
        (str, "{{ env.PORT }}", "5432"),
        (Path, "{{ project_root }}/data", Path("/srv/shop/data")),
    ],
)
def test_a_text_that_is_a_template_as_a_whole_can_spell_a_number_or_a_boolean(
    annotation: object, template: str, expected: object
) -> None:
    converted = convert(annotation, f"'{template}'")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "yaml", "message"),
    [
        (str, "1", "attribute 'x': expected a string, got the integer 1"),
        (str, "true", "attribute 'x': expected a string, got true"),
        (str, "null", "attribute 'x': expected a string, got null"),
        (int, "true", "attribute 'x': expected an integer, got true"),
        (int, "1.0", "attribute 'x': expected an integer, got the number 1.0"),
        (int, "'1'", "attribute 'x': expected an integer, got the string '1'"),
        (float, "true", "attribute 'x': expected a number, got true"),
        (float, "1" + "0" * 400, f"attribute 'x': expected a number, got the integer 1{'0' * 38}…"),
        (bool, "1", "attribute 'x': expected true or false, got the integer 1"),
        (OptionalInt, "a", "attribute 'x': expected an integer or null, got the string 'a'"),
        (str | list[str], "1", "attribute 'x': expected a string or a list, got the integer 1"),
        (list[int], "1", "attribute 'x': expected a list, got the integer 1"),
        (tuple[int, ...], "{}", "attribute 'x': expected a list, got a mapping"),
        (tuple[int, int], "[1]", "attribute 'x': expected 2 values, got 1"),
        (dict[str, int], "[1]", "attribute 'x': expected a mapping, got a list"),
        (Literal["a", "b"], "c", "attribute 'x': expected one of 'a', 'b', got the string 'c'"),
        (Literal[1], "true", "attribute 'x': expected 1, got true"),
        (Literal[True, 2], "1", "attribute 'x': expected one of true, 2, got the integer 1"),
        (Color, "RED", "attribute 'x': expected one of 'red', 'blue', got the string 'RED'"),
        (Level, "true", "attribute 'x': expected 1, got true"),
        (Path, "1", "attribute 'x': expected a path, got the integer 1"),
        (Path, "''", "attribute 'x': expected a path, got the string ''"),
        (Column, "a", "attribute 'x': expected a mapping, got the string 'a'"),
        (str, "[" + "a" * 99 + "]", "attribute 'x': expected a string, got a list"),
        (int, "a" * 99, f"attribute 'x': expected an integer, got the string '{'a' * 39}…'"),
        (Name | int, "[]", "attribute 'x': expected a string or an integer, got a list"),
        (
            str | Callable[[], int],
            "1",
            "attribute 'x': expected a string or a value, got the integer 1",
        ),
        (bytes, "a", "attribute 'x': YAML cannot express bytes"),
        ([int], "a", "attribute 'x': YAML cannot express [<class 'int'>]"),
        (dict[int, str], "{1: a}", "attribute 'x': keys of mappings are strings in YAML"),
    ],
)
def test_a_value_of_another_type_is_refused_at_its_place(
    annotation: object, yaml: str, message: str
) -> None:
    assert refusal(annotation, yaml) == f"defs.yaml:3:6: {message}"


@pytest.mark.parametrize(
    ("annotation", "yaml", "message"),
    [
        (list[int], "[1, a]", "10: attribute 'x[1]': expected an integer, got the string 'a'"),
        (dict[str, int], "{a: b}", "10: attribute 'x.a': expected an integer, got the string 'b'"),
        (tuple[int, str], "[1, 2]", "10: attribute 'x[1]': expected a string, got the integer 2"),
        (Column, "{name: 1}", "13: attribute 'x.name': expected a string, got the integer 1"),
        (Column, "{name: a, with: 1}", "16: unknown attribute 'x.with'; did you mean 'width'?"),
        (Column, "{}", "3: required attribute 'x.name' is missing"),
        (list[Column], "[{}]", "7: required attribute 'x[0].name' is missing"),
        (str | Column, "{}", "3: required attribute 'x.name' is missing"),
        (list[int] | None, "[a]", "7: attribute 'x[0]': expected an integer, got the string 'a'"),
        (Even, "{value: 1}", "6: Even raised ValueError: 1 is odd"),
        (str | Even, "{value: 1}", "6: Even raised ValueError: 1 is odd"),
    ],
)
def test_a_mistake_inside_a_value_is_reported_where_it_is(
    annotation: object, yaml: str, message: str
) -> None:
    assert refusal(annotation, yaml) == f"defs.yaml:3:{message}"


def test_a_scalar_where_a_string_is_expected_should_be_quoted() -> None:
    for annotation in (str, str | None):
        binding = bind_text(class_of(annotation), "type: a.B\nattributes: {x: no}\n")
        assert [error.hint for error in binding.errors] == ["put the value in quotes"]


def test_what_the_environment_holds_is_not_shown() -> None:
    for template in ("{{ env.WORD }}", "x{{ env.WORD }}"):
        message = f"attribute 'x': expected an integer, got the text of '{template}'"
        assert refusal(int, f"'{template}'") == f"defs.yaml:3:6: {message}"


def test_what_could_not_be_filled_in_is_reported_once() -> None:
    assert refusal(int, "'{{ env.NONE }}'") == "defs.yaml:3:6: environment variable NONE is not set"
    assert refusal(Even, "{value: '{{ env.NONE }}'}").endswith("variable NONE is not set")


@dataclass
class Base:
    database: str
    tables: list[str] = field(default_factory=list)


@dataclass
class Catalog(Base):
    schema: str = "public"
    _: KW_ONLY
    port: int
    built: bool = field(init=False, default=False)


def test_fields_of_a_dataclass_are_its_attributes_inherited_ones_too() -> None:
    binding = bind_text(Catalog, "type: a.B\nattributes: {database: a, tables: [b], port: 1}\n")
    assert binding == Binding({"database": "a", "tables": ["b"], "port": 1}, ())
    assert bind_text(Catalog, "attributes: {built: true, database: a, port: 1}").errors


@dataclass
class Client:
    timeout: int = field(init=False)
    seconds: InitVar[int]

    def __post_init__(self, seconds: int) -> None:
        self.timeout = seconds * 1000


@pytest.mark.skipif(sys.version_info < (3, 11), reason="typing cannot resolve InitVar in a string")
def test_parameters_of_a_dataclass_that_are_no_fields_are_attributes() -> None:
    assert convert(Client, "{seconds: 2}") == Client(2)
    assert refusal(Client, "{seconds: a}").endswith("expected an integer, got the string 'a'")


def test_all_mistakes_are_reported_together() -> None:
    yaml = """
        type: shop.Catalog
        attributes:
          databse: a
          tables: [b, 1]
          schema: [c]
          zzz: 1
    """
    assert errors_of(Catalog, yaml) == [
        "defs.yaml:3:3: unknown attribute 'databse'; did you mean 'database'?",
        "defs.yaml:6:3: unknown attribute 'zzz'",
        "defs.yaml:2:1: required attribute 'database' is missing",
        "defs.yaml:2:1: required attribute 'port' is missing",
        "defs.yaml:4:15: attribute 'tables[1]': expected a string, got the integer 1",
        "defs.yaml:5:11: attribute 'schema': expected a string, got a list",
    ]
    hint = bind_text(Catalog, yaml).errors[0].hint
    assert hint == "Catalog accepts database, tables, schema, port"


def test_without_attributes_a_missing_one_is_reported_at_the_type() -> None:
    assert errors_of(Column, "# a comment\ntype: shop.Column\n") == [
        "defs.yaml:2: required attribute 'name' is missing"
    ]


class Handmade:
    def __init__(self, name: str, *rest: int, size: int = 1, note=None, **more: int) -> None:  # type: ignore[no-untyped-def]
        pass


def test_keyword_parameters_are_the_attributes_of_other_classes() -> None:
    binding = bind_text(Handmade, "type: a.B\nattributes: {name: a, size: 2, note: [1]}\n")
    assert binding == Binding({"name": "a", "size": 2, "note": [1]}, ())
    assert errors_of(Handmade, "type: a.B\nattributes: {name: 1, more: 2}\n") == [
        "defs.yaml:2:23: unknown attribute 'more'",
        "defs.yaml:2:20: attribute 'name': expected a string, got the integer 1",
    ]


class Nothing:
    pass


def test_a_class_without_a_constructor_accepts_no_attributes() -> None:
    assert bind_text(Nothing, "type: a.B\nattributes:\n") == Binding({}, ())
    (error,) = bind_text(Nothing, "type: a.B\nattributes: {a: 1}\n").errors
    assert str(error) == (
        "defs.yaml:2:14: unknown attribute 'a'\n  hint: Nothing accepts no attributes"
    )


def test_a_class_that_does_not_tell_its_parameters_is_refused() -> None:
    assert errors_of(dict, "type: a.B\nattributes: {a: 1}\n") == [
        "defs.yaml:1: dict does not tell which attributes it accepts"
    ]


@dataclass
class Shadowed:
    Path: Path | None = None
    limit: Decimal = field(init=False)


def test_a_field_may_be_called_like_its_type_and_others_need_no_type_at_run_time() -> None:
    binding = bind_text(Shadowed, "type: a.B\nattributes: {Path: a}\n")
    assert binding == Binding({"Path": Path("a")}, ())


@dataclass
class Unresolvable:
    price: Decimal


def test_a_type_that_is_imported_for_type_checkers_alone_is_an_error_with_a_way_out() -> None:
    (error,) = bind_text(Unresolvable, "type: a.B\nattributes: {price: 1}\n").errors
    assert str(error) == (
        "defs.yaml:1: the types of Unresolvable cannot be resolved: "
        "NameError: name 'Decimal' is not defined\n"
        f"  hint: import them in {__name__} outside of `if TYPE_CHECKING:`"
    )


def test_a_deep_tree_is_converted_as_far_as_yaml_may_nest() -> None:
    depth = 23
    yaml = "{children: [" * depth + "{}" + "]}" * depth
    tree = convert(Tree, yaml)
    for _ in range(depth):
        assert isinstance(tree, Tree)
        (tree,) = tree.children
