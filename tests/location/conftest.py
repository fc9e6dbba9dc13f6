"""What the tests of code locations share: a cache of each test's own, projects, an S3 server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import object_servers
from tests.support.commands import CACHE_VARIABLE
from tests.support.locations import Located

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.object_servers import ObjectServer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new, empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder / "versions"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Located]]:
    """Return what makes a project that can be imported."""
    before = list(sys.path)
    yield lambda **kinds: Located.make(tmp_path, monkeypatch, **kinds)
    sys.path[:] = before


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectServer]:
    with object_servers.s3_server() as server:
        yield server
