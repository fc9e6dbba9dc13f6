"""What all tests share."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.matrix.table import HEADINGS, MATRIX
from tests.support.commands import CACHE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _cache_folder() -> Iterator[None]:
    """Keep what tests leave out of the cache of whoever runs them."""
    with tempfile.TemporaryDirectory(prefix="defs-state-tests-") as folder:
        os.environ[CACHE_VARIABLE] = folder
        yield
        del os.environ[CACHE_VARIABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix of front ends, a line for each one that was run."""
    rows = [
        value
        for status in ("passed", "failed")
        for report in terminalreporter.getreports(status)
        for name, value in report.user_properties
        if name == MATRIX
    ]
    if rows:
        terminalreporter.section("front ends")
        table = [HEADINGS, *(tuple(map(str, row)) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            terminalreporter.write_line("  ".join(cells).rstrip())
