"""Whatever builds the project: its writer runs once, and everything carries the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.matrix.bench import TABLES, Bench, build_plugin
from tests.matrix.rows import FROM_SDIST, ROWS
from tests.matrix.table import MATRIX
from tests.support.plugin import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of the plugin."""
    folder = tmp_path_factory.mktemp("matrix") / "packages"
    folder.mkdir()
    build_plugin(folder, ROOT)
    return folder


@pytest.mark.parametrize("name", ROWS)
def test_every_front_end_ships_the_state_of_one_refresh(
    name: str, packages: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bench = Bench(tmp_path, packages)
    bench.lay_out()
    made = ROWS[name](bench)
    runs = bench.runs
    digests = bench.digests(made)
    digest, tables = bench.load(made)
    one = digests <= {digest}
    loads = tables == TABLES
    line = (name, runs, len(made.artifacts), _mark(one), _mark(bool(digest)), _mark(loads))
    record_property(MATRIX, line)
    assert (runs, one, tables) == (0 if name in FROM_SDIST else 1, True, TABLES)


def _mark(holds: bool) -> str:
    return "yes" if holds else "no"
