"""A folder becomes its state-backed components, and everything that is wrong is told at once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.components.declaration import ComponentDeclaration
from hatch_defs_state.components.loader import load_components
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import SourceLocation
from tests.components.sample_project import SampleProject

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = "type: shop.components.Catalog\nattributes:\n  name: {}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    return SampleProject(tmp_path / "project", monkeypatch)


def keys(project: SampleProject) -> list[str]:
    loaded = project.load()
    assert loaded.errors == ()
    return [component.declaration.key for component in loaded.components]


def component_module(project: SampleProject, body: str) -> None:
    header = "from hatch_defs_state.components.model import *\n"
    project.write("other.py", header + body)


def test_a_component_is_declared_with_all_that_the_engine_wants_to_know(
    project: SampleProject,
) -> None:
    project.declare(
        """
        # what we sell
        type: shop.components.Catalog
        attributes:
          name: books
        """,
        "catalog/defs.yaml",
    )
    (loaded,) = project.load().components
    digest = loaded.declaration.config_digest
    assert loaded.declaration == ComponentDeclaration(
        key="Catalog[books]",
        management_type=ManagementType.LOCAL_FILESYSTEM,
        component_type="shop.components.Catalog",
        location=SourceLocation("src/shop/defs/catalog/defs.yaml", 2),
        config_digest=digest,
        refresh_if_dev=True,
        modules=("src/shop/components.py",),
    )
    assert len(digest) == 64
    assert loaded.path == project.defs / "catalog"
    assert loaded.component.name == "books"
    as_json = json.loads(json.dumps(loaded.declaration.to_json()))
    assert ComponentDeclaration.parse(as_json) == loaded.declaration


def test_every_file_and_document_counts_in_a_fixed_order(project: SampleProject) -> None:
    project.declare(CATALOG.format("b1") + "---\n" + CATALOG.format("b2"), "b/defs.yaml")
    project.declare(CATALOG.format("a"), "a/deep/defs.yml")
    project.declare(CATALOG.format("top"), "defs.yaml")
    for ignored in (".hidden/defs.yaml", "__pycache__/defs.yaml", "a/other.yaml"):
        project.declare(CATALOG.format("ignored"), ignored)
    assert keys(project) == ["Catalog[a]", "Catalog[b1]", "Catalog[b2]", "Catalog[top]"]


def test_an_empty_folder_has_no_components(project: SampleProject) -> None:
    assert keys(project) == []


def test_links_to_folders_are_followed_but_not_in_circles(project: SampleProject) -> None:
    project.declare(CATALOG.format("a"), "a/defs.yaml")
    (project.defs / "a" / "up").symlink_to(project.defs, target_is_directory=True)
    (project.defs / "z").symlink_to(project.defs / "a", target_is_directory=True)
    elsewhere = project.root / "shared"
    elsewhere.mkdir()
    (elsewhere / "defs.yaml").write_text(CATALOG.format("shared"))
    (project.defs / "shared").symlink_to(elsewhere, target_is_directory=True)
    assert keys(project) == ["Catalog[shared]", "Catalog[a]"]


def test_a_tree_of_links_leads_back_to_the_projects_own_files(
    project: SampleProject, tmp_path: Path
) -> None:
    project.declare("type: 1\n", "a/defs.yaml")
    farm = tmp_path / "farm"
    (farm / "a").mkdir(parents=True)
    (farm / "a" / "defs.yaml").symlink_to(project.defs / "a" / "defs.yaml")
    outside = tmp_path / "outside.yaml"
    outside.write_text("type: 2\n")
    (farm / "defs.yaml").symlink_to(outside)
    errors = load_components(farm, project.root).errors
    assert [str(error.location) for error in errors] == [
        f"{os.path.realpath(outside)}:1:7",
        "src/shop/defs/a/defs.yaml:1:7",
    ]


def test_a_folder_that_is_not_there_is_an_error(project: SampleProject) -> None:
    (error,) = load_components(project.defs / "absent", project.root).errors
    assert str(error) == (
        "src/shop/defs/absent: the folder cannot be read: No such file or directory"
    )


def test_one_bad_file_does_not_hide_the_others(project: SampleProject) -> None:
    project.declare("a: [", "a/defs.yaml")
    project.declare(CATALOG.format("b"), "b/defs.yaml")
    (project.package / "defs/c").mkdir()
    (project.package / "defs/c/defs.yaml").write_bytes(b"\xff")
    loaded = project.load()
    assert [c.declaration.key for c in loaded.components] == ["Catalog[b]"]
    syntax, encoding = loaded.errors
    assert syntax.message.startswith("invalid YAML: while parsing a flow node")
    assert encoding.message == "the file is not UTF-8"


def test_all_mistakes_of_a_document_are_reported_in_their_order(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_A", raising=False)
    monkeypatch.setenv("SHOP_B", "")
    project.declare("""
        tpye: shop
        requirements:
          env: [SHOP_A, SHOP_B, 1]
          envs: []
        type: shop.components.Catalog
        attributes:
          name: "{{ env.SHOP_A }}"
          prot: 1
    """)
    file = "src/shop/defs/defs.yaml"
    assert project.errors() == [
        f"{file}:1:1: unknown key 'tpye'; did you mean 'type'?",
        f"{file}:3:9: environment variable SHOP_A is not set",
        f"{file}:3:25: expected the name of a variable, got the integer 1",
        f"{file}:4:3: unknown key 'envs'; did you mean 'env'?",
        f"{file}:7:9: environment variable SHOP_A is not set",
        f"{file}:8:3: unknown attribute 'prot'; did you mean 'port'?",
    ]


@pytest.mark.parametrize(
    ("yaml", "error"),
    [
        ("- a\n", "1:1: expected a mapping with the key 'type', got a list"),
        ("a\n", "1:1: expected a mapping with the key 'type', got the string 'a'"),
        ("attributes: {}\n", "1:1: required key 'type' is missing"),
        ("{}\n", "1:1: required key 'type' is missing"),
        ("type:\n", "1:6: expected the dotted name of a class, got null"),
        ("type: [a]\n", "1:7: expected the dotted name of a class, got a list"),
        ("type: Catalog\n", "1:7: 'Catalog' is not the dotted name of a class"),
        ("type: .a.Catalog\n", "1:7: '.a.Catalog' is not the dotted name of a class"),
        (
            "type: shop/components.py\n",
            "1:7: 'shop/components.py' is not the dotted name of a class",
        ),
        ("type: absent.Catalog\n", "1:7: no module named absent"),
        ("type: shop.absent.deep.Catalog\n", "1:7: no module named shop.absent"),
        (
            "type: shop.components.Catalogue\n",
            "1:7: module shop.components has no class Catalogue; did you mean 'Catalog'?",
        ),
        ("type: shop.components.zzz\n", "1:7: module shop.components has no class zzz"),
        ("type: shop.components\n", "1:7: shop.components is not a component class"),
        (
            "type: shop.components.NotAComponent\n",
            "1:7: shop.components.NotAComponent is not a component class",
        ),
        ("type: json.dumps\n", "1:7: json.dumps is not a component class"),
    ],
)
def test_a_document_that_names_no_component_is_refused(
    project: SampleProject, yaml: str, error: str
) -> None:
    project.write("__init__.py", "from shop import components\n")
    project.declare(yaml)
    assert project.errors() == [f"src/shop/defs/defs.yaml:{error}"]


@pytest.mark.parametrize(
    ("yaml", "error"),
    [
        ("attributes: [a]\n", "2:13: expected a mapping, got a list"),
        ("requirements: a\n", "2:15: expected a mapping, got the string 'a'"),
        ("requirements: {env: a}\n", "2:21: expected a list of names, got the string 'a'"),
    ],
)
def test_other_keys_hold_what_they_are_meant_for(
    project: SampleProject, yaml: str, error: str
) -> None:
    project.declare(f"type: shop.components.Catalog\n{yaml}")
    assert f"src/shop/defs/defs.yaml:{error}" in project.errors()


@pytest.mark.parametrize(
    ("module", "message", "hint"),
    [
        ("1 / 0", "importing shop.other raised ZeroDivisionError: division by zero", 1),
        (
            "\nimport absent",
            "importing shop.other raised ModuleNotFoundError: No module named 'absent'",
            2,
        ),
        ("import sys; sys.exit('no')", "importing shop.other raised SystemExit: no", 1),
        ("raise GeneratorExit", "importing shop.other raised GeneratorExit", 1),
        (
            "a = (",
            "importing shop.other raised SyntaxError: '(' was never closed (other.py, line 1)",
            1,
        ),
        (
            "def __getattr__(name): raise OSError(name)",
            "looking up shop.other.A raised OSError: A",
            1,
        ),
    ],
)
def test_what_importing_a_module_raises_is_an_error_that_points_to_the_line(
    project: SampleProject, module: str, message: str, hint: int
) -> None:
    project.write("other.py", module)
    project.declare("type: shop.other.A\n")
    (error,) = project.load().errors
    assert str(error) == (
        f"src/shop/defs/defs.yaml:1:7: {message}\n  hint: see src/shop/other.py:{hint}"
    )


def test_an_interrupt_is_not_swallowed(project: SampleProject) -> None:
    project.write("other.py", "raise KeyboardInterrupt")
    project.declare("type: shop.other.A\n")
    with pytest.raises(KeyboardInterrupt):
        project.load()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no\\nwhy')", "shop.other.A raised ValueError: no"),
        ("raise SystemExit(3)", "shop.other.A raised SystemExit: 3"),
        ("raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})", "shop.other.A raised E"),
        ("self.x", "shop.other.A raised AttributeError: 'A' object has no attribute 'x'"),
    ],
)
def test_what_a_constructor_raises_is_an_error_at_the_type(
    project: SampleProject, body: str, message: str
) -> None:
    component_module(
        project,
        f"""
class A(StateBackedComponent):
    def __init__(self):
        {body}
    defs_state_config = write_state_to_path = build_defs_from_state = None
""",
    )
    project.declare("\n# comment\ntype: shop.other.A\n")
    (error,) = project.load().errors
    assert f"{error.location}: {error.message}" == f"src/shop/defs/defs.yaml:2: {message}"
    assert error.hint == "see src/shop/other.py:5"
    assert error.output == ("no\nwhy" if "why" in body else None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise OSError('no')", "defs_state_config of shop.other.A raised OSError: no"),
        (
            "return None",
            "defs_state_config of shop.other.A: expected DefsStateConfig, got NoneType",
        ),
        ("return DefsStateConfig(1)", "the state key of shop.other.A: expected str, got int"),
        (
            "return DefsStateConfig('a', 'LOCAL_FILESYSTEM')",
            "the management type of shop.other.A: expected ManagementType, got str",
        ),
    ],
)
def test_a_state_config_that_cannot_be_had_is_an_error(
    project: SampleProject, body: str, message: str
) -> None:
    component_module(
        project,
        f"""
class A(StateBackedComponent):
    @property
    def defs_state_config(self):
        {body}
    write_state_to_path = build_defs_from_state = None
""",
    )
    project.declare("type: shop.other.A\n")
    assert project.errors() == [f"src/shop/defs/defs.yaml:1: {message}"]


def test_an_unfinished_component_is_an_error(project: SampleProject) -> None:
    component_module(project, "class A(StateBackedComponent): ...\n")
    project.declare("type: shop.other.A\n")
    (error,) = project.errors()
    assert "shop.other.A raised TypeError: Can't instantiate abstract class A" in error


def test_a_component_that_is_not_state_backed_is_left_out(project: SampleProject) -> None:
    project.declare("type: shop.components.Plain\nattributes: {name: a}\n")
    loaded = project.load()
    assert (loaded.components, loaded.errors, loaded.warnings) == ((), (), ())


def test_a_component_that_is_not_state_backed_can_only_cause_warnings(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_A", raising=False)
    project.declare("""
        type: shop.components.Plain
        attributes:
          name: "{{ env.SHOP_A }}"
          nmae: b
    """)
    loaded = project.load()
    assert (loaded.components, loaded.errors) == ((), ())
    end = "the component shop.components.Plain does not load, "
    end += "which is no harm to the build as it has no state"
    assert loaded.warnings == (
        f"src/shop/defs/defs.yaml:3:9: {end}: environment variable SHOP_A is not set",
        f"src/shop/defs/defs.yaml:4:3: {end}: unknown attribute 'nmae'; did you mean 'name'?",
    )


def test_a_class_that_writes_state_without_our_base_class_is_not_passed_over(
    project: SampleProject,
) -> None:
    project.write("other.py", "class A:\n    build_defs = write_state_to_path = print\n")
    project.declare("type: shop.other.A\n")
    (error,) = project.load().errors
    assert str(error) == (
        "src/shop/defs/defs.yaml:1:7: "
        "shop.other.A writes state but is not a state-backed component\n"
        "  hint: derive the class from hatch_defs_state.StateBackedComponent"
    )


def digests(project: SampleProject, *documents: str) -> list[str]:
    project.declare("---\n".join(documents))
    loaded = project.load()
    assert loaded.errors == ()
    return [component.declaration.config_digest for component in loaded.components]


def test_the_digest_follows_the_attributes_and_not_their_order(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_NAME", "a")
    first, reordered, filled_in, other = digests(
        project,
        "type: shop.components.Catalog\nattributes: {name: a, port: 1}\n",
        "type: shop.components.Catalog\nattributes: {port: 1, name: a}\n",
        "type: shop.components.Catalog\nattributes: {port: 1, name: '{{ env.SHOP_NAME }}'}\n",
        "type: shop.components.Catalog\nattributes: {name: a, port: 2}\n",
    )
    assert first == reordered == filled_in != other


def test_the_digest_is_the_same_wherever_the_project_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = "type: shop.components.Catalog\nattributes: {name: '{{ project_root }}/a'}\n"
    (here,) = digests(SampleProject(tmp_path / "here", monkeypatch), document)
    (there,) = digests(SampleProject(tmp_path / "there", monkeypatch), document)
    assert here == there


def test_the_project_root_is_absolute(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.declare(CATALOG.format("'{{ project_root }}'"))
    monkeypatch.chdir(project.root.parent)
    relative = project.root.relative_to(project.root.parent)
    (loaded,) = load_components(relative / "src/shop/defs", relative).components
    assert loaded.component.name == str(project.root)
    assert loaded.declaration.location.file == "src/shop/defs/defs.yaml"
