"""Start a code server for a module and print the keys of the assets that a workspace gets from it.

Runs by itself in an environment that has Dagster, as whoever operates the code server; nothing
else of the tests is at hand there. Usage: `python codeserver_client.py MODULE`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from dagster import DagsterInstance
from dagster._core.definitions.assets.definition.asset_spec import (
    SYSTEM_METADATA_KEY_AUTO_CREATED_STUB_ASSET,
)
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

if TYPE_CHECKING:
    from dagster._grpc.client import DagsterGrpcClient

PATIENCE = 120.0


def asset_keys(module: str) -> list[str]:
    """Return what a workspace shows of `module`, without assets that others merely depend on."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/code-server"
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster", "api", "grpc", "-m", module, "--socket", socket],
            stdout=sys.stderr,
        )
        try:
            origin = GrpcServerCodeLocationOrigin("localhost", socket=socket, location_name=module)
            wait_until_it_answers(server, origin)
            with (
                DagsterInstance.ephemeral() as instance,
                origin.create_location(instance) as location,
            ):
                return sorted(
                    node.asset_key.to_user_string()
                    for repository in location.get_repositories().values()
                    for node in repository.get_asset_node_snaps()
                    if not node.metadata.get(SYSTEM_METADATA_KEY_AUTO_CREATED_STUB_ASSET)
                )
        finally:
            server.terminate()
            server.wait()


def wait_until_it_answers(
    server: subprocess.Popen[bytes], origin: GrpcServerCodeLocationOrigin
) -> None:
    """Wait for a code server, which answers once it has loaded its module."""
    client = origin.create_client()
    deadline = time.monotonic() + PATIENCE
    while not answers(client):
        if server.poll() is not None:
            sys.exit(f"The code server ended with {server.returncode}.")
        if time.monotonic() > deadline:
            sys.exit(f"The code server has not answered in {PATIENCE:.0f} seconds.")
        time.sleep(0.1)


def answers(client: DagsterGrpcClient) -> bool:
    """Tell whether a code server answers."""
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(asset_keys(sys.argv[1])))  # noqa: T201
