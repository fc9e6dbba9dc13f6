"""moto's S3 server, with writes that carry a precondition made one at a time.

Run as a module, with a port. moto looks whether an object exists and stores it in two steps, so
that now and then two of several concurrent creates of one name succeed, which S3 rules out. The
proof that a store has to give before its first use finds this; tests need a server that passes.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

if TYPE_CHECKING:
    from collections.abc import Iterable


class OneAtATime:
    """An application that serves requests with `If-None-Match` one after another."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environment:
            answer: Iterable[bytes] = self._application(environment, start_response)
            return answer
        with self._lock:
            return list(self._application(environment, start_response))


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        OneAtATime(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
