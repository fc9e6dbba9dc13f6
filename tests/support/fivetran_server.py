"""A loopback server of our own that speaks the part of Fivetran's REST API that components read.

It is not Fivetran's software. It answers, as version 1 of the API is documented to, the requests
by which a workspace is described: groups, a destination, the connectors of a group (a page at a
time), and the schemas of a connector.
"""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

DEFAULT_LIMIT = 100


@dataclass(frozen=True)
class Connector:
    """A connector, and what it loads.

    Attributes:
        id: Identifier of the connector.
        name: Its name, which is also the name of the schema that it loads into.
        service: What it loads from.
        tables: Names of the tables that it loads.
        setup_state: `connected`, `incomplete` or `broken`.
    """

    id: str
    name: str
    service: str
    tables: Sequence[str]
    setup_state: str = "connected"

    def details(self, group: str) -> dict[str, Any]:
        """Return the connector as an item of a group's list."""
        return {
            "id": self.id,
            "group_id": group,
            "service": self.service,
            "service_version": 1,
            "schema": self.name,
            "connected_by": "grave_cordial",
            "created_at": "2026-01-05T09:00:00.000000Z",
            "succeeded_at": "2026-01-06T09:30:00.000000Z",
            "failed_at": None,
            "paused": False,
            "sync_frequency": 360,
            "schedule_type": "auto",
            "status": {
                "setup_state": self.setup_state,
                "schema_status": "ready",
                "sync_state": "scheduled",
                "update_state": "on_schedule",
                "is_historical_sync": False,
                "tasks": [],
                "warnings": [],
            },
            "config": {},
        }

    def schemas(self) -> dict[str, Any]:
        """Return the connector's schema configuration."""
        return {
            "enable_new_by_default": True,
            "schema_change_handling": "ALLOW_ALL",
            "schemas": {
                self.name: {
                    "name_in_destination": self.name,
                    "enabled": True,
                    "tables": {
                        table: {
                            "name_in_destination": table,
                            "enabled": True,
                            "sync_mode": "SOFT_DELETE",
                            "columns": {
                                "id": {
                                    "name_in_destination": "id",
                                    "enabled": True,
                                    "hashed": False,
                                    "is_primary_key": True,
                                }
                            },
                        }
                        for table in self.tables
                    },
                }
            },
        }


DEFAULT_CONNECTORS = (
    Connector("bronze_lantern", "shop", "postgres", ("orders", "visits")),
    Connector("quiet_harbour", "crm", "salesforce", ("account",)),
)


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class FivetranServer:
    """Serves one group with its destination and connectors while the context is open.

    Attributes:
        connectors: What is served; may be replaced while the server runs.
        requests: Path and query of every request so far, refused ones included.
    """

    def __init__(
        self,
        connectors: Sequence[Connector] = DEFAULT_CONNECTORS,
        *,
        group: str = "shop_warehouse",
        api_key: str = "key-for-tests",
        api_secret: str = "secret-for-tests",
        page_size: int = 1000,
    ) -> None:
        self.connectors = tuple(connectors)
        self.requests: list[str] = []
        self._group = group
        self._api_key = api_key
        self._api_secret = api_secret
        self._page_size = page_size
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where the server listens, as Fivetran's address without the version."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What `fixtures/dagster_platform` reads its account and the server's address from."""
        return {
            "FIVETRAN_ACCOUNT_ID": "shop_account",
            "FIVETRAN_API_KEY": self._api_key,
            "FIVETRAN_API_SECRET": self._api_secret,
            "FIVETRAN_API_BASE": self.url,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, target: str, authorization: str | None) -> Mapping[str, Any]:
        """Record a request and return what its answer holds as `data`.

        Args:
            target: Path and query of the request.
            authorization: The request's `Authorization` header.

        Raises:
            ApiError: If the request is to be refused.
        """
        with self._lock:
            self.requests.append(target)
        credentials = base64.b64encode(f"{self._api_key}:{self._api_secret}".encode()).decode()
        if authorization != f"Basic {credentials}":
            raise ApiError(HTTPStatus.UNAUTHORIZED, "AuthFailed", "The credentials are not valid.")
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        groups = [{"id": self._group, "name": "Warehouse", "created_at": "2026-01-05T08:00:00Z"}]
        match url.path.strip("/").split("/"):
            case ["v1", "groups"]:
                return self._page(groups, query)
            case ["v1", "destinations", self._group]:
                return self._destination()
            case ["v1", "groups", self._group, "connectors"]:
                return self._page([item.details(self._group) for item in self.connectors], query)
            case ["v1", "connectors", identifier, "schemas"]:
                for connector in self.connectors:
                    if connector.id == identifier:
                        return connector.schemas()
        raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"There is no {url.path!r}.")

    def _destination(self) -> dict[str, Any]:
        return {
            "id": self._group,
            "group_id": self._group,
            "service": "snowflake",
            "region": "GCP_EUROPE_WEST3",
            "time_zone_offset": "0",
            "setup_status": "connected",
            "config": {"database": "WAREHOUSE"},
        }

    def _page(self, items: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        try:
            limit = int(query.get("limit", DEFAULT_LIMIT))
            start = int(query.get("cursor", 0))
        except ValueError:
            raise ApiError(
                HTTPStatus.BAD_REQUEST, "InvalidInput", "'limit' or 'cursor' is not valid."
            ) from None
        end = start + min(limit, self._page_size)
        page: dict[str, Any] = {"items": items[start:end]}
        if end < len(items):
            # The documentation of pagination says `next_cursor`; dagster-fivetran reads the other.
            page["next_cursor"] = page["nextCursor"] = str(end)
        return page

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = HTTPStatus.OK
                try:
                    data = server.answer(self.path, self.headers.get("Authorization"))
                    envelope: dict[str, Any] = {"code": "Success", "data": data}
                except ApiError as error:
                    status = error.status
                    envelope = {"code": error.code, "message": str(error)}
                body = json.dumps(envelope).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json;charset=UTF-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
