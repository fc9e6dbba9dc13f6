"""What the tests of code locations share: one S3 server, and a cache of each test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import object_servers
from tests.support.commands import CACHE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.object_servers import ObjectServer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new, empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder / "versions"


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectServer]:
    with object_servers.s3_server() as server:
        yield server
