"""Reloading a code location through the GraphQL API of Dagster's web server, without Dagster."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from hatch_defs_state.errors import ReloadError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 300.0
"""How long a web server may take: it loads all definitions before it answers."""

_RELOAD = """
mutation ReloadCodeLocation($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { ... on PythonError {
      message errorChain { error { message } } } } }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""
_NAMES = "{ workspaceOrError { ... on Workspace { locationEntries { name } } } }"


def reload_location(url: str, name: str, *, timeout: float = SECONDS) -> None:
    """Let a web server load the definitions of a code location anew.

    Args:
        url: Address of the web server, with the path that it is served under; user and password in
            it are sent as basic authentication.
        name: The code location.
        timeout: Seconds to wait for its answer.

    Raises:
        ReloadError: Nobody answers, there is no such location, or it does not load.
        SettingsError: The address is none.
    """
    answer = _ask(url, _RELOAD, {"name": name}, timeout).get("reloadRepositoryLocation") or {}
    kind = answer.get("__typename")
    where = shown(url)
    if kind == "RepositoryLocationNotFound":
        raise ReloadError(
            f"{where} has no code location {name!r}", hint=_known_locations(url, timeout)
        )
    if kind != "WorkspaceLocationEntry":
        raise ReloadError(f"{where} does not reload {name!r}: {answer.get('message') or kind}")
    load_error = answer.get("locationOrLoadError") or {}
    if load_error.get("message"):
        chain = [link["error"]["message"] for link in load_error.get("errorChain") or ()]
        raise ReloadError(
            f"{where} has reloaded {name!r}, and it does not load",
            output="".join([load_error["message"], *chain]),
            hint="what was committed stays; `defs-state store rollback` makes an older commit "
            "current",
        )


def shown(url: str) -> str:
    """Return the address of a web server without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _known_locations(url: str, timeout: float) -> str | None:
    try:
        workspace = _ask(url, _NAMES, {}, timeout).get("workspaceOrError") or {}
    except ReloadError:
        return None
    names = [entry["name"] for entry in workspace.get("locationEntries") or ()]
    return f"it has {', '.join(sorted(names))}" if names else None


def _ask(url: str, query: str, variables: Mapping[str, str], timeout: float) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"{shown(url)!r} is not the address of a web server",
            hint="for example http://dagster.internal:3000",
        )
    path = parts.path.rstrip("/").removesuffix("/graphql") + "/graphql"
    target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        target,
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(2000).decode("utf-8", "replace")
        raise ReloadError(f"{target} answers {error.code} {error.reason}", output=detail) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ReloadError(
            f"{target} does not answer as a web server of Dagster: {reason}",
            hint="check the address; the web server must be reachable from here",
        ) from None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        problems = answer.get("errors") if isinstance(answer, dict) else None
        raise ReloadError(f"{target} refuses the request", output=json.dumps(problems or answer))
    return data
