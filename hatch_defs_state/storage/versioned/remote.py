"""A store in S3, Google Cloud Storage or Azure Blob Storage, through obstore.

obstore repeats requests that were throttled, failed in the server or lost their connection, with
growing and random pauses. Some things it leaves to its caller: a create that timed out (which may
have taken effect), an answer that breaks off midway, and a conflict with a request that fails later
on. The first two are handled here, the last by `create_once`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    SettingsError,
    StorageError,
    StoreAccessError,
    StoreUnavailableError,
    VersionConflictError,
)
from hatch_defs_state.storage.urls import without_credentials
from hatch_defs_state.storage.versioned.objects import CHUNK, ObjectInfo, ObjectStore
from hatch_defs_state.storage.versioned.parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hatch_defs_state.storage.versioned.objects import Source

_SMALL = 1 << 20
"""Up to this size an object is sent in one request, which creates it only if it is absent."""

_PART = 8 << 20
_PARTS_AT_A_TIME = 4
_ATTEMPTS = 4
_PAUSE = 0.2

_CLIENT = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "6h"}
_RETRIES: dict[str, Any] = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=90),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5)},
}


class RemoteStore(ObjectStore):
    """Objects in a bucket or container, below the path of the URL."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = without_credentials(url)
        self._large = threading.Lock()
        try:
            obstore: Any = importlib.import_module("obstore")
            from_url = importlib.import_module("obstore.store").from_url
        except ImportError as error:
            raise SettingsError(
                f"{self.url} needs the library obstore, which is not installed",
                hint="install 'hatch-defs-state[object-storage]'; for builds, name it so in "
                "`requires` of [build-system]",
            ) from error
        given = dict(options)
        client = {**_CLIENT, **_allowed_by_environment(), **given.pop("client_options", {})}
        retries = {**_RETRIES, **given.pop("retry_config", {})}
        self._api = obstore
        try:
            self._store: Any = from_url(
                re.sub("^s3a:", "s3:", url.rstrip("/")),
                client_options=client,
                retry_config=retries,
                **given,
            )
        except (obstore.exceptions.BaseError, ValueError, TypeError) as error:
            raise SettingsError(f"{self.url} cannot be opened: {_brief(error)}") from error

    def create(self, path: str, data: bytes) -> None:
        """Create a small object, if none is there."""

        def create() -> None:
            self._api.put(self._store, path, data, mode="create", use_multipart=False)

        self._repeated(path, create)

    def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002 - always is
        """Create or overwrite a small object."""
        self._repeated(path, lambda: self._api.put(self._store, path, data, use_multipart=False))

    def put_files(self, files: Mapping[str, Source]) -> frozenset[str]:
        """Store immutable content: small files side by side, each large one in parallel parts."""
        found = run_all(lambda item: self._put_file(*item), files.items())
        return frozenset(path for path, existed in zip(files, found, strict=True) if existed)

    def get(self, path: str) -> bytes:
        """Return a small object."""
        return b"".join(self.stream(path))

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield an object in pieces; a broken download goes on where it broke off."""
        offset = 0
        pauses = _pauses()
        tag: str | None = None
        while True:
            try:
                with self._errors(path):
                    # Both parts have to come from one object.
                    options = {"if_match": tag, "range": {"offset": offset}} if offset else None
                    result = self._api.get(self._store, path, options=options)
                    tag = result.meta["e_tag"]
                    for chunk in result.stream(min_chunk_size=4 * CHUNK):
                        offset += len(chunk)
                        yield chunk
                    self._require_whole(path, offset, result.meta["size"])
            except ObjectExistsError:
                raise StorageError(f"{path} in {self.url} was replaced while it was read") from None
            except StoreUnavailableError:
                pause = next(pauses)
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def size(self, path: str) -> int | None:
        """Return the size of an object in bytes, or `None` when there is none."""
        try:
            return int(self._repeated(path, lambda: self._api.head(self._store, path))["size"])
        except ObjectNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder, in no order; `""` means all."""
        found = self._repeated(
            prefix, lambda: self._api.list(self._store, prefix=prefix or None).collect()
        )
        for meta in found:
            yield ObjectInfo(meta["path"], meta["size"], meta["last_modified"].timestamp())

    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""
        with contextlib.suppress(ObjectNotFoundError):
            self._repeated(path, lambda: self._api.delete(self._store, path))

    def _put_file(self, path: str, source: Source) -> bool:
        if source.entry.size > _SMALL:
            return self._put_large(path, source)
        data = b"".join(source.read())
        for _ in range(_ATTEMPTS):
            try:
                self.create(path, data)
            except ObjectExistsError:
                if self._holds(path, source):
                    return True
            else:
                return False
        raise StoreUnavailableError(f"{path} in {self.url} can be neither created nor found")

    def _put_large(self, path: str, source: Source) -> bool:
        if self._holds(path, source):
            return True

        def put() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._api.put(
                    self._store,
                    path,
                    source.read(_PART),
                    use_multipart=True,
                    chunk_size=_part_size(source.entry.size),
                    max_concurrency=_PARTS_AT_A_TIME,
                )
                return
            # The request that completes an upload was repeated, and answered by "no such upload":
            # the first one has completed it, or the upload is gone.
            if not self._holds(path, source):
                raise StoreUnavailableError(f"the upload of {path} to {self.url} got lost")

        # One at a time: its parts are buffered, and memory has to stay bounded.
        with self._large:
            self._repeated(path, put)
        return False

    def _holds(self, path: str, source: Source) -> bool:
        size = self.size(path)
        if size is not None and size != source.entry.size:
            raise VersionConflictError(
                f"{path} in {self.url} has {size} bytes already, instead of {source.entry.size}",
                hint="the object is damaged, or two writers use one version identifier",
            )
        return size is not None

    def _repeated(self, path: str, request: Callable[[], Any]) -> Any:
        """Make a request, and make it again when it was not answered."""
        pauses = _pauses()
        while True:
            try:
                with self._errors(path):
                    return request()
            except StoreUnavailableError:
                pause = next(pauses)
                if pause is None:
                    raise
                time.sleep(pause)

    def _require_whole(self, path: str, received: int, size: int) -> None:
        if received != size:
            raise StoreUnavailableError(
                f"{path} in {self.url}: {received} of {size} bytes came, and then nothing"
            )

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        known = self._api.exceptions
        subject = f"{path} in {self.url}" if path else self.url
        _require_first_process(subject)
        try:
            yield
        except FileNotFoundError:
            raise ObjectNotFoundError(f"there is no {subject}") from None
        except (known.AlreadyExistsError, known.PreconditionError) as error:
            raise ObjectExistsError(f"{subject}: {_brief(error)}") from None
        except (known.PermissionDeniedError, known.UnauthenticatedError) as error:
            raise StoreAccessError(
                f"{subject}: access was refused: {_brief(error)}",
                hint="check the credentials that the environment provides, and what they may do",
            ) from None
        except known.GenericError as error:
            raise StoreUnavailableError(f"{subject}: {_brief(error)}") from None
        except (known.BaseError, ValueError) as error:
            raise StorageError(f"{subject}: {_brief(error)}") from None


_first_process: int | None = None


def _require_first_process(subject: str) -> None:
    """Refuse requests in a fork of a process that has made some: they would never be answered.

    The threads of obstore, one set for all stores of a process, do not exist in the fork.
    """
    global _first_process
    if _first_process is None:
        _first_process = os.getpid()
    elif _first_process != os.getpid():
        raise StorageError(
            f"{subject} cannot be reached from a fork of the process that used it before",
            hint='start processes by "spawn" or "forkserver", or use the store in them alone',
        )


def _allowed_by_environment() -> dict[str, Any]:
    """Return whether connections may do without TLS, as the environment says.

    Stores read these variables themselves, but only where no options are given.
    """
    variables = (f"{prefix}_ALLOW_HTTP" for prefix in ("AWS", "AZURE", "GOOGLE"))
    allowed = any(os.environ.get(name, "").lower() in {"true", "1"} for name in variables)
    return {"allow_http": True} if allowed else {}


def _part_size(size: int) -> int:
    # Stores take at most 10,000 parts.
    return max(_PART, -(-size // 9_000))


def _pauses() -> Iterator[float | None]:
    """Yield pauses that grow and vary, and then for ever `None`: no more attempts."""
    for attempt in range(_ATTEMPTS - 1):
        yield _PAUSE * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    while True:
        yield None


def _brief(error: BaseException) -> str:
    """Return the first line of an error, without queries of URLs, which may hold a signature."""
    text = str(error).strip().partition("\n")[0]
    return re.sub(r"\?[^\s\"']+", "", text)[:400]
