"""A proxy of our own in front of an object store, which does to requests what networks do."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

LATE: float = 1.6
"""Seconds after which a request that is late goes on; clients should have given up by then."""


class Fault(Enum):
    """What happens to one request."""

    DROP = "the connection is closed before the server sees the request"
    LOSE_ANSWER = "the server does what it is asked, and its answer is lost"
    TRUNCATE_ANSWER = "the server does what it is asked, and half of its answer arrives"
    CUT_REQUEST = "the server sees half of the request"
    LATE = "the server sees the request after the client has given up"
    ERROR_500 = "500, without the server"
    THROTTLE_503 = "503, without the server"
    THROTTLE_429 = "429, without the server"
    ERROR_AFTER = "the server does what it is asked, and the answer is 500"


class FaultyProxy:
    """The proxy, running in a thread while it is entered.

    Attributes:
        url: Where it listens.
        plan: Called with the number of the request, from 1, and its method; tells what happens.
        requests: How many requests have come.
    """

    def __init__(self, upstream: str) -> None:
        self.plan: Callable[[int, str], Fault | None] = lambda *_: None
        self.requests = 0
        self._lock = threading.Lock()
        proxy, target = self, urlsplit(upstream)

        class Handler(_Handler):
            server_name, server_port = str(target.hostname), int(target.port or 80)

            def next_fault(self) -> Fault | None:
                return proxy._next(self.command)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def reset(self, plan: Callable[[int, str], Fault | None]) -> None:
        """Count from one again, by another plan."""
        with self._lock:
            self.requests = 0
            self.plan = plan

    def _next(self, method: str) -> Fault | None:
        with self._lock:
            self.requests += 1
            return self.plan(self.requests, method)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_name: str
    server_port: int

    def next_fault(self) -> Fault | None:
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.next_fault()
        if fault in {Fault.ERROR_500, Fault.THROTTLE_503, Fault.THROTTLE_429}:
            self._send(int(fault.name[-3:]), {}, b"")
        elif fault is Fault.DROP:
            self._close()
        elif fault is Fault.CUT_REQUEST:
            self._cut(body)
            self._close()
        else:
            if fault is Fault.LATE:
                time.sleep(LATE)
            self._forward(body, fault)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        connection = http.client.HTTPConnection(self.server_name, self.server_port, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault is Fault.LOSE_ANSWER:
            self._close()
        elif fault is Fault.ERROR_AFTER:
            self._send(500, {}, b"")
        else:
            half = len(data) // 2 if fault is Fault.TRUNCATE_ANSWER else len(data)
            self._send(answer.status, dict(answer.getheaders()), data, half)
            if fault is Fault.TRUNCATE_ANSWER:
                self._close()

    def _send(
        self, status: int, headers: dict[str, str], data: bytes, sent: int | None = None
    ) -> None:
        dropped = {"connection", "transfer-encoding", "date", "server"}
        kept = {name.lower(): value for name, value in headers.items()}
        if self.command != "HEAD":
            kept["content-length"] = str(len(data))
        kept.setdefault("content-length", "0")
        self.send_response(status)
        for name, value in kept.items():
            if name not in dropped:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:sent])

    def _cut(self, body: bytes) -> None:
        head = f"{self.command} {self.path} HTTP/1.1\r\n{self.headers}".encode()
        with socket.create_connection((self.server_name, self.server_port), 10) as upstream:
            upstream.sendall(head + body[: len(body) // 2])

    def _close(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
