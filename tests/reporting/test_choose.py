"""The reporter is the one that fits what people watch."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.refresh.events import Started
from hatch_defs_state.reporting.base import Broadcast, Reporter
from hatch_defs_state.reporting.choose import reporter
from hatch_defs_state.reporting.github import GitHub
from hatch_defs_state.reporting.lines import Lines
from hatch_defs_state.reporting.live import Live

if TYPE_CHECKING:
    from typing_extensions import Self

    from hatch_defs_state.refresh.events import Event
    from hatch_defs_state.reporting.choose import Mode


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def chosen(stream: io.StringIO, mode: Mode = "auto", **environment: str) -> type[Reporter]:
    return type(reporter(stream, mode=mode, environment=environment))


def test_a_terminal_gets_a_live_table() -> None:
    assert chosen(Terminal(), TERM="xterm") is Live
    assert chosen(Terminal(), "verbose") is Live
    assert chosen(Terminal(), CI="false") is Live
    assert chosen(Terminal(), NO_COLOR="1") is Live


def test_everything_else_gets_a_log() -> None:
    assert chosen(io.StringIO()) is Lines
    assert chosen(io.StringIO(), FORCE_COLOR="1") is Lines
    assert chosen(Terminal(), "quiet") is Lines
    assert chosen(Terminal(), TERM="dumb") is Lines
    assert chosen(Terminal(), CI="true") is Lines
    closed = io.StringIO()
    closed.close()
    assert chosen(closed) is Lines


def test_without_rich_a_terminal_gets_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert chosen(Terminal()) is Lines


def test_github_gets_annotations_beside_the_log() -> None:
    both = reporter(io.StringIO(), environment={"GITHUB_ACTIONS": "true"})
    assert isinstance(both, Broadcast)
    assert [type(each) for each in both.reporters] == [Lines, GitHub]


class Noting(Reporter):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def __enter__(self) -> Self:
        self.notes.append(f"{self.name} entered")
        return self

    def __call__(self, event: Event) -> None:
        self.notes.append(f"{self.name} told of {event}")

    def close(self, error: BaseException | None) -> None:
        self.notes.append(f"{self.name} closed by {error!r}")
        if error is None:
            raise ValueError(self.name)


def test_a_broadcast_closes_all_in_order_and_swallows_nothing() -> None:
    notes: list[str] = []
    with (
        pytest.raises(KeyboardInterrupt),
        Broadcast(Noting("a", notes), Noting("b", notes)) as both,
    ):
        both(Started("orders", 1))
        raise KeyboardInterrupt
    assert notes[2:] == [
        "a told of Started(key='orders', attempt=1)",
        "b told of Started(key='orders', attempt=1)",
        "a closed by KeyboardInterrupt()",
        "b closed by KeyboardInterrupt()",
    ]
    del notes[:]
    with pytest.raises(ValueError, match="a"), Broadcast(Noting("a", notes), Noting("b", notes)):
        pass
    assert notes[2:] == ["a closed by None", "b closed by ValueError('a')"]
