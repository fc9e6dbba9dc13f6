"""Versioned state is judged against the store, and becomes current in one commit."""

from __future__ import annotations

import http.server
import json
import re
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state import project as projects
from hatch_defs_state.dagster.reloading import reload_location
from hatch_defs_state.errors import DefsStateError, ReloadError, SettingsError
from hatch_defs_state.refresh.events import Committed, Event, Finished, Notice, Outcome, Planned
from hatch_defs_state.refresh.versioned import refresh_versioned
from hatch_defs_state.refresh.workspace import Workspace
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.commands import base_environment, run
from tests.support.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from subprocess import CompletedProcess

DEFS_STATE = str(Path(sysconfig.get_path("scripts"), "defs-state"))
DECLARED = "src/shop/defs/defs.yaml:1: [a]"
VERSIONED = "VERSIONED_STATE_STORAGE"


class Store:
    """A shop whose state is versioned, and its store."""

    def __init__(self, folder: Path, plan: dict[str, Any], **settings: Any) -> None:
        self.shop = Shop.make(folder / "shop", plan, **settings)
        self.shop.declare(*plan, kind=VERSIONED)
        self.storage = VersionedStorage(folder / "store")
        self.events: list[Event] = []

    def refresh(self, executor: Executor | None = None, **settings: Any) -> int:
        """Refresh, and return the number of the commit."""
        chosen = replace(self.shop.settings, **settings)
        project = projects.locate(projects.read_config(self.shop.root), chosen)
        self.events = []
        with self.shop.environment(), Workspace.of(project.config) as workspace:
            commit = refresh_versioned(
                project, chosen, self.storage, workspace, self.events.append, executor
            )
        return commit.serial

    def fails(self, **settings: Any) -> list[str]:
        """Refresh, and return the errors as users read them."""
        with pytest.raises(DefsStateError) as caught:
            self.refresh(**settings)
        error = caught.value
        return [str(each) for each in getattr(error, "errors", [error])]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {e.key: e.outcome for e in self.events if isinstance(e, Finished)}

    def content(self, tmp_path: Path) -> dict[str, Any]:
        folder = tmp_path / "fetched"
        folder.mkdir()
        head = self.storage.head()
        versions = {key: value.version for key, value in head.versions.items()}
        self.storage.fetch_all(versions, folder)
        return {key: json.loads((folder / key / "state").read_bytes()) for key in versions}


def test_all_keys_become_current_in_one_commit(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1], "b": [2]})
    assert store.refresh() == 1
    assert store.outcomes == {"a": Outcome.REFRESHED, "b": Outcome.REFRESHED}
    assert store.content(tmp_path) == {"a": [1], "b": [2]}
    head = store.storage.head()
    assert head.message == "refresh shop: 2 of 2 keys"
    assert store.events[-1] == Committed(
        str(tmp_path / "store"),
        1,
        changes={key: value.version for key, value in head.versions.items()},
        versions={key: value.version for key, value in head.versions.items()},
    )
    assert not store.shop.state.exists()


def test_what_has_not_changed_keeps_its_version_and_makes_no_commit(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1], "b": [2]})
    store.refresh()
    before = store.storage.head().versions
    assert store.refresh() == 1
    assert store.outcomes == {"a": Outcome.UNCHANGED, "b": Outcome.UNCHANGED}
    assert store.events[-1] == Committed(
        str(tmp_path / "store"), 1, {}, {key: value.version for key, value in before.items()}
    )
    store.shop.plan(b=[2, 3])
    assert store.refresh() == 2
    assert store.outcomes == {"a": Outcome.UNCHANGED, "b": Outcome.REFRESHED}
    assert store.storage.head().versions["a"] == before["a"]
    assert store.storage.head().message == "refresh shop: 1 of 2 keys"


def test_a_version_that_dagster_named_is_kept_while_its_content_is_the_same(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path, {"a": [1]})
    state = tmp_path / "state"
    state.write_text("[1]")
    store.storage.push({"a": state}, versions={"a": "given-by-dagster"})
    assert store.refresh() == 1
    assert store.outcomes == {"a": Outcome.UNCHANGED}
    assert store.storage.head().version_of("a") == "given-by-dagster"


def test_one_failing_writer_leaves_everything_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1], "b": [2]})
    store.refresh()
    store.shop.plan(a={"raise": "the API answered 503"}, b=[3])
    (message,) = store.fails()
    assert message.startswith(f"{DECLARED} the writer of shop.components.Planned raised")
    assert store.outcomes == {"a": Outcome.FAILED, "b": Outcome.REFRESHED}
    assert store.storage.head().serial == 1


def test_state_is_compared_with_the_current_version_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": list(range(100))})
    store.refresh()
    store.shop.plan(a=[1] * 20)
    assert store.fails() == [
        (
            f"{DECLARED} the state has shrunk by 80%, more than max-shrink (50%): "
            "it has 20 items, the last good one 100\n"
            "  hint: if that is right, raise `max-shrink` for this build"
        )
    ]
    store.shop.plan(a=[])
    assert store.fails()[0].splitlines()[0] == (
        f"{DECLARED} the state is empty; the last good one has 390 bytes"
    )
    assert store.refresh(allow_empty=("a",)) == 2


def test_the_current_version_stands_in_where_that_is_wanted(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1], "b": [2]}, on_failure="last-good")
    store.refresh()
    before = store.storage.head().version_of("a")
    store.shop.plan(a={"raise": "the API answered 503"}, b=[3])
    assert store.refresh() == 2
    assert store.outcomes == {"a": Outcome.LAST_GOOD, "b": Outcome.REFRESHED}
    finished = {event.key: event for event in store.events if isinstance(event, Finished)}
    assert re.fullmatch(r"its last good state, \d+ s old, is used", finished["a"].note or "")
    assert finished["a"].size == 3
    assert store.storage.head().version_of("a") == before
    store.shop.plan(c=[1])
    store.shop.declare("a", "c", kind=VERSIONED)
    store.shop.plan(c={"raise": "new"})
    assert store.fails()[0].splitlines()[0].endswith("; there is no last good state to use")


def test_a_damaged_current_version_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    store.refresh()
    version = store.storage.head().version_of("a")
    (tmp_path / "store" / "a" / str(version)).unlink()
    store.shop.plan(a=[1, 2])
    assert store.refresh() == 2
    assert store.content(tmp_path) == {"a": [1, 2]}


def test_components_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    file = store.shop.root / "src/shop/defs/defs.yaml"
    local = "---\ntype: shop.components.Planned\nattributes: {key: local}\n"
    file.write_text(file.read_text() + local)
    store.refresh()
    (planned,) = (event for event in store.events if isinstance(event, Planned))
    assert planned.keys == ("a",)
    assert planned.elsewhere == (("local", "LOCAL_FILESYSTEM"),)
    assert set(store.storage.head().versions) == {"a"}


def test_what_a_setting_cannot_mean_for_versioned_state_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    store.refresh(refresh="reuse")
    assert [event.text for event in store.events if isinstance(event, Notice)] == [
        "refresh = reuse is for local state: all writers of versioned state run"
    ]
    assert store.fails(refresh="frozen")[0].splitlines()[0] == (
        "refresh is frozen: no writer may run, and there is no other way to renew state"
    )
    store.shop.declare("a")
    store.refresh()
    assert [event.text for event in store.events if isinstance(event, Notice)] == [
        f"no component keeps its state in {VERSIONED}"
    ]


def test_writers_of_versioned_state_run_on_any_executor(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1], "b": [2]})
    with ThreadPoolExecutor(2) as executor:
        assert store.refresh(executor) == 1
    assert store.content(tmp_path) == {"a": [1], "b": [2]}


def defs_state(shop: Shop, *arguments: str, **variables: str) -> CompletedProcess[str]:
    environment = base_environment() | {"SHOP": str(shop.folder), **variables}
    command = [DEFS_STATE, "refresh", "--management-type", VERSIONED, *arguments]
    return run(command, cwd=shop.root, env=environment)


def test_the_command_prints_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    result = defs_state(store.shop, "--store", str(tmp_path / "store"), "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == f"1 key changed in {tmp_path / 'store'}, commit 1"
    document = json.loads(result.stdout)
    version = store.storage.head().version_of("a")
    assert document["commit"] == {
        "store": str(tmp_path / "store"),
        "serial": 1,
        "changes": {"a": version},
        "versions": {"a": version},
    }
    assert (document["status"], document["reloaded"], document["path"]) == (
        "published",
        None,
        None,
    )


def test_the_store_may_be_named_in_dagster_yaml(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "defs_state_storage:\n"
        "  module: hatch_defs_state.dagster\n"
        "  class: VersionedDefsStateStorage\n"
        "  config: {base: {env: STATE_BASE}}\n"
    )
    result = defs_state(store.shop, DAGSTER_HOME=str(home))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: {home}/dagster.yaml: the environment variable STATE_BASE is not set"
    )
    result = defs_state(store.shop, DAGSTER_HOME=str(home), STATE_BASE=str(tmp_path / "store"))
    assert result.returncode == 0, result.stderr
    assert store.storage.head().serial == 1


def test_a_store_whose_pointers_are_in_a_database_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    assert defs_state(store.shop).stderr.splitlines() == [
        "error: where versioned state is kept is not known",
        (
            "  hint: set `store` (DEFS_STATE_STORE, --store) to a folder or the URL of an object "
            "store, or DAGSTER_HOME to the folder of a dagster.yaml that names it"
        ),
    ]
    (tmp_path / "dagster.yaml").write_text(
        "defs_state_storage:\n"
        "  module: dagster._core.storage.defs_state.blob_storage_state_storage\n"
        "  class: UPathDefsStateStorage\n"
        "  config: {base_path: /somewhere}\n"
    )
    assert defs_state(store.shop, DAGSTER_HOME=str(tmp_path)).stderr.splitlines() == [
        (
            f"error: {tmp_path}/dagster.yaml: defs_state_storage is not "
            "hatch_defs_state.dagster.VersionedDefsStateStorage: what is current there is known "
            "to the database of the instance alone"
        ),
        "  hint: use that class, or name a store with --store",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reload", "http://x"], "--reload and --location belong together"),
        (["--location", "x"], "--reload and --location belong together"),
        (["--output", "x"], "--output is for local state"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    store = Store(tmp_path, {"a": [1]})
    result = defs_state(store.shop, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert store.shop.count("runs") == 0


def test_a_web_server_that_does_not_answer_is_named_after_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path, {"a": [1]})
    url = "http://user:secret@127.0.0.1:1/dagster"
    arguments = ["--store", str(tmp_path / "store"), "--reload", url, "--location", "shop"]
    result = defs_state(store.shop, *arguments, "--json")
    assert result.returncode == 1
    assert "http://127.0.0.1:1/dagster/graphql does not answer as a web server of Dagster" in (
        result.stderr
    )
    assert "secret" not in result.stderr + result.stdout
    document = json.loads(result.stdout)
    assert (document["status"], document["commit"]["serial"]) == ("failed", 1)


@contextmanager
def web_server(status: int, body: bytes) -> Iterator[str]:
    """Serve one answer to everything: what answers there is not Dagster's web server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b"not here", "/graphql answers 404 Not Found\n  output:\n    | not here"),
        (200, b"<html>", "/graphql does not answer as a web server of Dagster: Expecting value"),
        (200, b'{"errors": ["no"]}', '/graphql refuses the request\n  output:\n    | ["no"]'),
        (200, b"[]", "/graphql refuses the request\n  output:\n    | []"),
    ],
)
def test_what_is_no_web_server_of_dagster_is_told_apart(
    status: int, body: bytes, message: str
) -> None:
    with web_server(status, body) as url, pytest.raises(ReloadError) as caught:
        reload_location(f"{url}/", "shop")
    assert message in str(caught.value)


def test_an_address_has_to_be_one() -> None:
    with pytest.raises(SettingsError, match="'dagster:3000' is not the address of a web server"):
        reload_location("dagster:3000", "shop")
