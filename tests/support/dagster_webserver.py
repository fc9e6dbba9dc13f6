"""Dagster's open-source web server, as a user runs it: real processes, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE: Final = 300.0
LOCATION: Final = "platform"

_REPOSITORY = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    ... on RepositoryLocation { repositories { name assetNodes { assetKey { path } } } }
    ... on PythonError { message } } } } } }
"""
_LAUNCH = """
mutation Launch($location: String!, $repository: String!, $job: String!, $config: RunConfigData) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: $repository, jobName: $job},
    runConfigData: $config
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
_STATUS = """
query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }
"""
_EVENTS = """
query Events($run: ID!) { logsForRun(runId: $run) {
  ... on EventConnection { events { __typename ... on MessageEvent { message } } } } }
"""
_ENDS = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(frozen=True)
class Webserver:
    """A web server with one code location.

    Attributes:
        url: Its address.
        log: What it prints.
    """

    url: str
    log: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the answer to a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def assets(self) -> set[str]:
        """Return the keys of the assets that the code location has."""
        nodes = self._repository()["assetNodes"]
        return {"/".join(node["assetKey"]["path"]) for node in nodes}

    def _repository(self) -> Any:
        (entry,) = self.ask(_REPOSITORY)["workspaceOrError"]["locationEntries"]
        loaded = entry["locationOrLoadError"]
        assert "message" not in loaded, loaded["message"]
        (repository,) = loaded["repositories"]
        return repository

    def launch(self, job: str, config: Mapping[str, Any] | None = None) -> str:
        """Start a run of a job, and return its identifier."""
        names = {"location": LOCATION, "repository": self._repository()["name"], "job": job}
        launched = self.ask(_LAUNCH, **names, config=dict(config or {}))["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def end_of(self, run: str) -> str:
        """Wait for the end of a run, and return its status."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = str(self.ask(_STATUS, run=run)["runOrError"]["status"])
            if status in _ENDS:
                return status
            time.sleep(0.2)
        raise AssertionError(f"run {run} does not end:\n" + "\n".join(self.messages(run)))

    def messages(self, run: str) -> list[str]:
        """Return what the log of a run says."""
        events = self.ask(_EVENTS, run=run)["logsForRun"]["events"]
        return [event["message"] for event in events if event.get("message")]


@contextlib.contextmanager
def webserver(
    python: Path, module: str, folder: Path, variables: Mapping[str, str]
) -> Iterator[Webserver]:
    """Run a web server, and end all its processes.

    Args:
        python: The interpreter of an environment that has `dagster-webserver`.
        module: The module that holds the definitions.
        folder: An empty folder for its log and its workspace.
        variables: Its whole environment; `DAGSTER_HOME` among it.
    """
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - python_module: {{module_name: {module}, location_name: {LOCATION}}}\n"
    )
    port, log = free_port(), folder / "webserver.log"
    command = [str(python), "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-w", str(workspace)],
            env=dict(variables),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Webserver(f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_it_answers(process, server)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        # Code servers and runs are of its session; those that have not ended with it end here.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return the number of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], server: Webserver) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, server.log.read_text(errors="replace")
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            server.ask("{ version }")
            return
        time.sleep(0.2)
    raise AssertionError(server.log.read_text(errors="replace"))
