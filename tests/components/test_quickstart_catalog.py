"""The catalog of the quickstart project needs its database at build time only."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.components import source
from hatch_defs_state.components.model import LoadContext

if TYPE_CHECKING:
    from hatch_defs_state.components.declaration import LoadedComponent

QUICKSTART = Path(__file__).parents[2] / "fixtures" / "quickstart"
DATABASE = QUICKSTART / "data" / "warehouse.sqlite"


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> LoadedComponent:
    for name in [name for name in sys.modules if name.split(".")[0] == "warehouse"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(QUICKSTART / "src"))
    loaded = source.load(QUICKSTART, "warehouse.defs")
    assert (loaded.errors, loaded.warnings) == ((), ())
    (component,) = loaded.components
    return component


def test_the_database_holds_what_its_sql_says() -> None:
    with (
        closing(sqlite3.connect(f"{DATABASE.as_uri()}?mode=ro", uri=True)) as shipped,
        closing(sqlite3.connect(":memory:")) as built,
    ):
        built.executescript(DATABASE.with_suffix(".sql").read_text())
        assert list(shipped.iterdump()) == list(built.iterdump())


def test_the_schema_is_written_alike_every_time_and_the_database_is_left_alone(
    catalog: LoadedComponent, tmp_path: Path
) -> None:
    before = DATABASE.read_bytes()
    for name in ("first", "second"):
        source.write_state(catalog, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert [table["name"] for table in json.loads((tmp_path / "first").read_text())] == [
        "customers",
        "order_lines",
        "orders",
        "products",
    ]
    assert DATABASE.read_bytes() == before
    assert [path.name for path in DATABASE.parent.iterdir() if "-" in path.name] == []


def test_definitions_come_from_the_state_alone(catalog: LoadedComponent, tmp_path: Path) -> None:
    source.write_state(catalog, tmp_path / "state")
    installed = type(catalog.component)(database=tmp_path / "absent.sqlite")
    context = LoadContext(project_root=tmp_path, component_path=tmp_path)
    tables = installed.build_defs_from_state(context, tmp_path / "state")
    orders = next(table for table in tables if table.name == "orders")
    assert orders.columns == ("id", "customer_id", "ordered_on")
    assert [(key.column, key.table, key.references) for key in orders.foreign_keys] == [
        ("customer_id", "customers", "id")
    ]
