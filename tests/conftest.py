"""What all tests share."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

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
