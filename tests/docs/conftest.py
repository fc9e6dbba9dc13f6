"""What the tests of the pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pages import warehouse
from tests.support.plugin import plugin_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project that the pages are about."""
    return warehouse(tmp_path)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where installers find the plugin under test."""
    return plugin_wheel(tmp_path_factory.mktemp("plugin"))
