"""Stores of every kind, each test with an empty one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support import object_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.support.object_servers import ObjectServer

KINDS = ("local", "memory", "s3", "azure", "gcs")

Opened = tuple[str, "Mapping[str, Any]"]


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectServer]:
    with object_servers.s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    try:
        object_servers.azurite_command()
    except FileNotFoundError:
        pytest.skip("Azurite is installed by npm, which is not there")
    with object_servers.azure_server(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[ObjectServer]:
    with object_servers.gcs_server() as server:
        yield server


@pytest.fixture(scope="session")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_servers.careless_s3_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Opened]:
    """Return URL and options of a new, empty store of some kind."""

    def make(kind: str) -> Opened:
        if kind == "local":
            return str(tmp_path / "a store" / "base"), {}
        if kind == "memory":
            return f"memory://{uuid.uuid4()}", {}
        server: ObjectServer = request.getfixturevalue(kind)
        return server.new_url(), server.options

    return make


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, new_store: Callable[[str], Opened]) -> Opened:
    return new_store(request.param)


@pytest.fixture
def storage(opened: Opened) -> VersionedStorage:
    url, options = opened
    return VersionedStorage(url, options=options)
