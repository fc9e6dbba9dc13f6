"""Whatever the network does to a push, it takes effect once, or fails and can be repeated."""

from __future__ import annotations

import itertools
import os
import random
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.faulty_proxy import Fault, FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.support.object_servers import ObjectServer

IMPATIENT: Mapping[str, Any] = {
    "client_options": {"allow_http": True, "read_timeout": "1s"},
    "retry_config": {
        "max_retries": 3,
        "backoff": {
            "init_backoff": timedelta(milliseconds=5),
            "max_backoff": timedelta(milliseconds=20),
        },
    },
}


@pytest.fixture(scope="module")
def proxy(s3: ObjectServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3.endpoint) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatch_defs_state.storage.versioned.remote._PAUSE", 0.02)


class Rig:
    """One store, reached through the proxy and directly, and two states in turn."""

    def __init__(self, server: ObjectServer, proxy: FaultyProxy, folder: Path) -> None:
        url = server.new_url()
        options = {**server.through(proxy.url), **IMPATIENT}
        self.proxy = proxy
        self._url = url
        self._options = options
        self._direct_options = server.options
        self.folder = folder
        self.count = itertools.count(1)

    def open(self) -> VersionedStorage:
        return VersionedStorage(self._url, options=self._options)

    def direct(self) -> VersionedStorage:
        return VersionedStorage(self._url, options=self._direct_options)

    def state(self) -> tuple[dict[str, Path], str]:
        number = next(self.count)
        folder = self.folder / str(number)
        (folder / "project").mkdir(parents=True)
        (folder / "state").write_bytes(b"%d" % number)
        (folder / "project" / "new").write_bytes(os.urandom(64))
        (folder / "project" / "large").write_bytes(b"%d" % number + bytes(3 << 20))
        (folder / "project" / "shared").write_bytes(b"the same in all")
        plain = folder / "plain"
        plain.write_bytes(b"plain %d" % number)
        return {"listed": folder, "plain": plain}, f"push {number}"

    def effects(self, message: str) -> int:
        return sum(entry.message == message for entry in self.direct().log())

    def check(self, states: dict[str, Path], message: str) -> None:
        """Push directly what may or may not have taken effect; it must be there once."""
        assert self.effects(message) <= 1
        head = self.direct().push(states, message)
        assert self.effects(message) == 1
        target = self.folder / f"out {message}"
        self.direct().fetch("listed", str(head.version_of("listed")), target)
        assert (target / "project/new").read_bytes() == (
            states["listed"] / "project/new"
        ).read_bytes()


@pytest.fixture
def rig(s3: ObjectServer, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(s3, proxy, tmp_path)
    proxy.reset(lambda *_: None)
    yield rig
    proxy.reset(lambda *_: None)
    report = rig.direct().verify()
    assert report.problems == ()


def at(place: int, fault: Fault, last: int | None = None) -> Callable[[int, str], Fault | None]:
    """Return the plan by which requests from `place` to `last` meet a fault."""
    return lambda number, _: fault if place <= number <= (last or place) else None


def requests_of_a_push(rig: Rig) -> int:
    states, message = rig.state()
    rig.proxy.reset(lambda *_: None)
    rig.open().push(states, message)
    return rig.proxy.requests


@pytest.mark.slow
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_one_fault_anywhere_goes_unnoticed(rig: Rig, fault: Fault) -> None:
    requests_of_a_push(rig)
    total = requests_of_a_push(rig)
    assert total > 8
    step = 4 if fault is Fault.LATE else 1
    for place in range(1, total + 1, step):
        states, message = rig.state()
        rig.proxy.reset(at(place, fault))
        rig.open().push(states, message)
        assert rig.effects(message) == 1, place


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.LATE], ids=lambda fault: fault.name
)
def test_faults_that_do_not_end_are_a_clean_failure(rig: Rig, fault: Fault) -> None:
    requests_of_a_push(rig)
    total = requests_of_a_push(rig)
    for place in range(1, total + 1, 2):
        states, message = rig.state()
        rig.proxy.reset(at(place, fault, sys.maxsize))
        try:
            rig.open().push(states, message)
        except DefsStateError as error:
            assert str(error)
        else:
            assert rig.effects(message) == 1, place
        rig.check(states, message)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_network(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    kinds = [fault for fault in Fault if fault is not Fault.LATE]
    succeeded = 0
    for _ in range(25):
        states, message = rig.state()
        rig.proxy.reset(lambda *_: rng.choice(kinds) if rng.random() < 0.3 else None)
        try:
            rig.open().push(states, message)
        except DefsStateError:
            pass
        else:
            succeeded += 1
            assert rig.effects(message) == 1
        rig.check(states, message)
    assert succeeded > 5


@pytest.mark.slow
def test_downloads_go_on_where_they_broke_off(rig: Rig, tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    (tmp_path / "state").write_bytes(data)
    version = str(rig.direct().push({"k": tmp_path / "state"}).version_of("k"))
    for fault in (Fault.TRUNCATE_ANSWER, Fault.DROP, Fault.LOSE_ANSWER, Fault.THROTTLE_503):
        rig.proxy.reset(at(1, fault, 2))
        rig.open().fetch("k", version, tmp_path / fault.name)
        assert (tmp_path / fault.name / "state").read_bytes() == data
    rig.proxy.reset(lambda *_: Fault.TRUNCATE_ANSWER)
    with pytest.raises(DefsStateError):
        rig.open().fetch("k", version, tmp_path / "never")
    assert not (tmp_path / "never").exists()
