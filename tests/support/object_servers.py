"""Object stores on loopback: real servers in processes of their own, for tests and benchmarks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from tests.support.gcs_server import GcsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".test-cache"
_PATIENCE: Final = 60.0
_AZURE_ACCOUNT: Final = "account"
_AZURE_KEY: Final = base64.b64encode(b"a key of nobody, for tests alone").decode()


@dataclass(frozen=True)
class ObjectServer:
    """A running server.

    Attributes:
        scheme: Scheme of its URLs.
        endpoint: Where it listens.
        options: Configuration that a client needs for it.
        make: Creates a bucket or container.
    """

    scheme: str
    endpoint: str
    options: Mapping[str, Any]
    make: Callable[[str], None] = field(repr=False)

    def new_url(self) -> str:
        """Create an empty bucket, and return the URL of a folder in it."""
        bucket = f"b{uuid.uuid4().hex[:20]}"
        self.make(bucket)
        return f"{self.scheme}://{bucket}/some/base"

    def through(self, endpoint: str) -> Mapping[str, Any]:
        """Return the options for a client that reaches the server through a proxy."""
        return {**self.options, "endpoint": endpoint}


@contextmanager
def s3_server() -> Iterator[ObjectServer]:
    """Run moto's S3; see `moto_s3` for what is done to its creates."""
    port = _free_port()
    command = [sys.executable, "-m", "tests.support.moto_s3", str(port)]
    with _process(command, port):
        yield _s3(port)


@contextmanager
def careless_s3_server(folder: Path) -> Iterator[ObjectServer]:
    """Run rclone's S3, which ignores preconditions.

    Args:
        folder: Where it may keep its objects.
    """
    port = _free_port()
    program = shutil.which("rclone", path=_path()) or "rclone"
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "key,secret"]
    with _process([*command, "--config", os.devnull, str(folder)], port):
        yield _s3(port, make=lambda bucket: (folder / bucket).mkdir())


@contextmanager
def azure_server(folder: Path) -> Iterator[ObjectServer]:
    """Run Azurite.

    Args:
        folder: Where it may keep its blobs.
    """
    port = _free_port()
    command = [
        *azurite_command(),
        *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)),
        *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
    ]
    variables = {"AZURITE_ACCOUNTS": f"{_AZURE_ACCOUNT}:{_AZURE_KEY}"}
    with _process(command, port, variables):
        endpoint = f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}"
        options = {
            "endpoint": endpoint,
            "account_name": _AZURE_ACCOUNT,
            "account_key": _AZURE_KEY,
            "client_options": {"allow_http": True},
        }
        yield ObjectServer("az", endpoint, options, lambda name: _make_container(endpoint, name))


@contextmanager
def gcs_server() -> Iterator[ObjectServer]:
    """Run our own stand-in for Google Cloud Storage."""
    with GcsServer() as server:
        account = {
            "gcs_base_url": server.url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        options = {
            "service_account_key": json.dumps(account),
            "client_options": {"allow_http": True},
        }
        yield ObjectServer("gs", server.url, options, lambda _: None)


def azurite_command() -> Sequence[str]:
    """Return how to start Azurite's blob service; it is installed once, by npm, into the cache.

    Raises:
        FileNotFoundError: There is no npm.
    """
    folder = CACHE / "azurite"
    installed = folder / "installed"
    script = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise FileNotFoundError("npm")
    CACHE.mkdir(exist_ok=True)
    # Of several test processes, the first one installs it and the others wait.
    with FileLock(CACHE / "azurite.lock"):
        if not installed.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            options = ("--no-fund", "--no-audit", "--prefix", str(folder))
            subprocess.run([npm, "install", *options, "azurite"], check=True, cwd=folder)
            installed.touch()
    return node, str(script)


def _s3(port: int, make: Callable[[str], None] | None = None) -> ObjectServer:
    endpoint = f"http://127.0.0.1:{port}"
    options = {
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key_id": "key",
        "secret_access_key": "secret",
        "client_options": {"allow_http": True},
    }

    def make_bucket(name: str) -> None:
        with _open(urllib.request.Request(f"{endpoint}/{name}", method="PUT")):
            pass

    return ObjectServer("s3", endpoint, options, make or make_bucket)


def _make_container(endpoint: str, name: str) -> None:
    date = formatdate(usegmt=True)
    path = f"/{_AZURE_ACCOUNT}/{_AZURE_ACCOUNT}/{name}"
    headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06"
    signed = "PUT" + "\n" * 12 + f"{headers}\n{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(_AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", "2021-08-06")
    request.add_header(
        "Authorization", f"SharedKey {_AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    )
    with _open(request):
        pass


def _open(request: urllib.request.Request) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=10)


@contextmanager
def _process(
    command: Sequence[str], port: int, variables: Mapping[str, str] | None = None
) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_port(port, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{process.args!r} does not listen")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _path() -> str:
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
