"""A loopback server of our own that speaks the part of Google Cloud Storage's XML API used here.

It is not Google's software, and no packaged one enforces preconditions on generations for the
client that we use. This one keeps objects in memory and holds what Google documents: a request with
`x-goog-if-generation-match` takes effect only if the object's generation is that number (0: the
object is absent), and answers 412 otherwise; a multipart upload becomes visible when it is
completed.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_PAGE = 50


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object.

    Attributes:
        data: Its content.
        generation: Its number; no two generations share one.
        modified: When it was written, in seconds since the epoch.
    """

    data: bytes
    generation: int
    modified: float


class Buckets:
    """All objects, by bucket and name, and uploads that are not complete yet."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.lock = threading.Lock()
        self._generations = itertools.count(1)

    def write(self, bucket: str, name: str, data: bytes, expected: int | None) -> int | None:
        """Write an object and return its generation; `None` when the precondition fails."""
        with self.lock:
            there = self.objects.get((bucket, name))
            if expected is not None and (there.generation if there else 0) != expected:
                return None
            generation = next(self._generations)
            self.objects[bucket, name] = StoredObject(data, generation, time.time())
            return generation


class GcsServer:
    """The server, running in a thread while it is entered."""

    def __init__(self) -> None:
        self.buckets = Buckets()
        buckets = self.buckets

        class Handler(_Handler):
            store = buckets

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

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
    store: Buckets

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        bucket, name, query = self._target()
        if not name:
            self._list(bucket, query)
            return
        found = self.store.objects.get((bucket, name))
        if found is None:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        headers = _facts(found)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        if match is None or self.command == "HEAD":
            self._answer(HTTPStatus.OK, found.data, headers)
            return
        start = int(match[1])
        end = min(int(match[2] or len(found.data) - 1), len(found.data) - 1)
        headers["content-range"] = f"bytes {start}-{end}/{len(found.data)}"
        self._answer(HTTPStatus.PARTIAL_CONTENT, found.data[start : end + 1], headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        bucket, name, query = self._target()
        data = self._body()
        if "uploadId" in query:
            with self.store.lock:
                self.store.uploads[query["uploadId"]][int(query["partNumber"])] = data
            self._answer(HTTPStatus.OK, headers={"etag": f'"{query["partNumber"]}"'})
            return
        self._write(bucket, name, data)

    def do_POST(self) -> None:
        bucket, name, query = self._target()
        self._body()
        if "uploads" in query:
            with self.store.lock:
                upload = f"upload-{len(self.store.uploads)}"
                self.store.uploads[upload] = {}
            self._xml(
                f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
                f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
            return
        with self.store.lock:
            parts = self.store.uploads[query["uploadId"]]
        generation = self.store.write(
            bucket, name, b"".join(parts[number] for number in sorted(parts)), None
        )
        self._xml(
            "<CompleteMultipartUploadResult><Location>-</Location>"
            f"<Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
            f"<ETag>&quot;{generation}&quot;</ETag></CompleteMultipartUploadResult>",
            {"x-goog-generation": str(generation)},
        )

    def do_DELETE(self) -> None:
        bucket, name, query = self._target()
        with self.store.lock:
            if "uploadId" in query:
                self.store.uploads.pop(query["uploadId"], None)
                found = True
            else:
                found = self.store.objects.pop((bucket, name), None) is not None
        self._answer(HTTPStatus.NO_CONTENT if found else HTTPStatus.NOT_FOUND)

    def _write(self, bucket: str, name: str, data: bytes) -> None:
        expected = self.headers.get("x-goog-if-generation-match")
        generation = self.store.write(bucket, name, data, int(expected) if expected else None)
        if generation is None:
            self._answer(HTTPStatus.PRECONDITION_FAILED)
        else:
            headers = {"etag": f'"{generation}"', "x-goog-generation": str(generation)}
            self._answer(HTTPStatus.OK, headers=headers)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        with self.store.lock:
            found = sorted(
                (name, value)
                for (where, name), value in self.store.objects.items()
                if where == bucket and name.startswith(prefix) and name > after
            )
        page, more = found[:_PAGE], len(found) > _PAGE
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(value.data)}</Size>"
            f"<LastModified>{_iso(value.modified)}</LastModified>"
            f"<ETag>&quot;{value.generation}&quot;</ETag></Contents>"
            for name, value in page
        )
        if more:
            token = escape(page[-1][0])
            contents += f"<NextContinuationToken>{token}</NextContinuationToken>"
        self._xml(f"<ListBucketResult>{contents}</ListBucketResult>")

    def _target(self) -> tuple[str, str, dict[str, str]]:
        parts = urlsplit(self.path)
        bucket, _, name = parts.path.lstrip("/").partition("/")
        query = parse_qs(parts.query, keep_blank_values=True)
        return unquote(bucket), unquote(name), {key: value[0] for key, value in query.items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _xml(self, text: str, headers: dict[str, str] | None = None) -> None:
        self._answer(HTTPStatus.OK, text.encode(), headers)

    def _answer(
        self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _facts(found: StoredObject) -> dict[str, str]:
    return {
        "etag": f'"{found.generation}"',
        "x-goog-generation": str(found.generation),
        "last-modified": formatdate(found.modified, usegmt=True),
    }


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
