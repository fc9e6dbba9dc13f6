"""A live table shows what matters now in what fits the terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hatch_defs_state.errors import WriterError
from hatch_defs_state.refresh.events import (
    Committed,
    Event,
    Finished,
    Outcome,
    Output,
    Planned,
    Reloaded,
    Retried,
    Started,
    Waiting,
)
from hatch_defs_state.reporting.board import KEPT, Board
from hatch_defs_state.reporting.live import Live, console_for
from hatch_defs_state.reporting.table import ASCII, UNICODE, Glyphs, table
from hatch_defs_state.reporting.wording import one_line
from tests.reporting.events import GOOD, HOLDER, MANIFEST, MIXED, ORDERS_ERROR


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """A live table that is drawn when asked."""

    def __init__(self, *, jobs: int = 2, width: int = 80, glyphs: Glyphs = UNICODE) -> None:
        self.clock, self.width, self.glyphs = Clock(), width, glyphs
        self.board = Board(jobs, self.clock)

    def record(self, *events: Event, after: float = 0.0) -> None:
        self.clock.now += after
        for event in events:
            self.board.record(event)

    def drawn(self, capacity: int = 20) -> str:
        console = Console(file=io.StringIO(), width=self.width)
        with console.capture() as capture:
            console.print(table(self.board.view(capacity), self.width, self.glyphs))
        return capture.get()


def finished(key: str, outcome: Outcome = Outcome.REFRESHED, seconds: float = 1.0) -> Finished:
    return Finished(key, outcome, seconds, 1000 if outcome.has_state else 0)


def test_before_the_plan_is_known_it_says_what_is_done() -> None:
    screen = Screen()
    screen.clock.now = 3.2
    assert screen.drawn() == "⠹ loading the project, 3s\n"
    screen.record(Waiting(HOLDER), after=61)
    assert screen.drawn() == (
        "⠹ waiting for another refresh (process 4711, since 09:15:02), 1m 04s\n"
    )
    screen.record(Planned((), (), (), ()))
    assert screen.drawn() == "⠹ publishing, 1m 04s\n"


def test_every_key_has_a_row_when_all_fit() -> None:
    screen = Screen()
    screen.record(Planned(("a", "b", "c", "d"), ("aa",), (), ()), Started("a", 1), Started("b", 1))
    screen.record(Finished("a", Outcome.UNCHANGED, 4.25, 2048), Started("c", 1), after=4.25)
    screen.record(Retried("c", 1, 2.0, ORDERS_ERROR), after=1.0)
    assert screen.drawn() == (
        "  KEY  STATE           TIME      SIZE\n"
        "✓ a    unchanged       4.2s    2.0 kB\n"
        "✓ aa   reused\n"
        "⠹ b    running           5s\n"
        "  c    retry in 2s                     the writer of shop.Api raised HTTPError:…\n"
        "  d    waiting\n"
        "2 of 5 keys, 1 running, 1 retrying, 1 reused, 2.0 kB, 5s, about 5s left\n"
    )
    screen.record(Started("c", 2), after=2.0)
    assert screen.drawn().splitlines()[0] == "  KEY  STATE         TRY    TIME      SIZE"
    assert screen.drawn().splitlines()[4] == "⠹ c    running         2      0s"
    ends = [finished("b"), finished("c"), finished("d")]
    screen.record(*ends, after=1.0)
    assert screen.drawn().splitlines()[-1] == "5 of 5 keys, 1 reused, 5.0 kB, 8s, publishing"


def test_problems_and_running_keys_stay_when_not_all_fit() -> None:
    screen = Screen(jobs=3, width=60)
    keys = tuple(f"key{number:04d}" for number in range(1000))
    screen.record(Planned(keys, (), (), ()))
    for number, key in enumerate(keys[:500]):
        screen.record(Started(key, 1))
        broken = Outcome.FAILED if number == 7 else Outcome.REFRESHED
        screen.record(finished(key, broken), after=1.0)
    screen.record(*(Started(key, 1) for key in keys[500:503]))
    screen.record(Retried("key0500", 1, 5.0, ORDERS_ERROR), after=2.0)
    assert screen.drawn(6) == (
        "  KEY      STATE           TIME      SIZE\n"
        "✗ key0007  failed          1.0s\n"
        "✓ key0498  refreshed       1.0s    1.0 kB\n"
        "✓ key0499  refreshed       1.0s    1.0 kB\n"
        "⠋ key0501  running           2s\n"
        "⠋ key0502  running           2s\n"
        "  key0500  retry in 5s\n"
        "500 of 1000 keys, 1 failed, 8m 22s, about 2m 45s left\n"
    )
    assert len(screen.drawn(1).splitlines()) == 3


def test_what_is_remembered_does_not_grow_with_the_project() -> None:
    def kept(count: int) -> int:
        screen = Screen()
        keys = tuple(map(str, range(count)))
        screen.record(Planned(keys, (), (), ()))
        for key in keys:
            screen.record(Started(key, 1), finished(key))
        return sum(
            len(value)
            for name, value in vars(screen.board).items()
            if name not in {"_keys", "_reused"} and hasattr(value, "__len__")
        )

    assert kept(5 * KEPT) == kept(10 * KEPT)


def test_the_estimate_counts_down_and_ends_in_silence() -> None:
    screen = Screen(jobs=2)
    screen.record(Planned(tuple("abcdefgh"), (), (), ()))
    for key, seconds in zip("abc", (10.0, 90.0, 20.0), strict=True):
        screen.record(Started(key, 1), finished(key, seconds=seconds))
    assert screen.drawn().splitlines()[-1].endswith("0s, about 50s left")
    screen.clock.now = 48
    assert screen.drawn().splitlines()[-1].endswith("48s, about 2s left")
    screen.clock.now = 50
    assert screen.drawn().splitlines()[-1].endswith("3.0 kB, 50s")


def test_a_narrow_terminal_loses_columns_and_the_middle_of_keys() -> None:
    screen = Screen(width=44, glyphs=ASCII)
    key = "FivetranAccountComponent[shop_account]"
    screen.record(Planned((key,), (), (), ()), Started(key, 1))
    assert screen.drawn() == (
        "  KEY                   STATE           TIME\n"
        "- FivetranAc~_account]  running           0s\n"
        "0 of 1 key, 1 running, 0s\n"
    )


@given(st.text().map(one_line), st.integers(1, 30))
def test_shortened_keys_fit(text: str, width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        short = glyphs.shorten(text, width)
        assert cell_len(short) <= width
        assert short == text or glyphs.ellipsis in short


@given(st.lists(st.sampled_from(MIXED)), st.integers(1, 130), st.integers(1, 12))
def test_the_table_fits_the_terminal_whatever_happens(
    events: list[Event], width: int, capacity: int
) -> None:
    screen = Screen(width=width)
    screen.record(*events)
    drawn = screen.drawn(capacity).splitlines()
    assert len(drawn) <= capacity + 2
    assert all(cell_len(line) <= width for line in drawn)


def left(*events: Event, error: BaseException | None = None, height: int = 24) -> str:
    """Return what a refresh leaves on a terminal, without what was redrawn meanwhile."""
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=height, highlight=False)
    clock = Clock()
    report = Live(console, jobs=2, clock=clock)
    with report:
        for event in events:
            report(event)
        clock.now = 12.5
        stream.truncate(0)
        stream.seek(0)
        report.close(error)
        text = stream.getvalue()
        stream.truncate(0)
    # Where text is wrapped, a space remains at the end of the line.
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


FINAL = """\
  KEY        STATE         TRY    TIME      SIZE
✓ customers  refreshed           12.3s    2.0 kB
✓ invoices   unchanged            0.5s    1.0 MB
! orders     last-good       2    3.0s    1.5 MB  its last good state, 3 days o…
! prices     cancelled            1.2s
✓ regions    reused                         12 B  2 h old
✗ stock      failed               0.0s            the writer wrote nothing
✗ taxes      timed-out         10m 00s            no answer in 600 s
! users      cancelled
"""
BELOW = """\
8 keys: 1 refreshed, 1 unchanged, 1 reused, 1 last-good, 1 failed, 1 timed-out,
2 cancelled, 2.5 MB in 12.5s
1 key kept elsewhere (VERSIONED_STATE_STORAGE)
warning: defs/old/defs.yaml:1: Old is no component with state
warning: orders: last-good, 1.5 MB: its last good state, 3 days old, is used;
its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503
"""


def test_all_rows_are_left_when_they_fit() -> None:
    assert left(*MIXED) == FINAL + BELOW


def test_only_rows_with_a_problem_are_left_when_not_all_fit() -> None:
    lines = FINAL.splitlines(keepends=True)
    shown = [line for line in lines if line[0] in " !✗" and "users" not in line]
    order = [shown[0], shown[1], shown[3], shown[4], shown[2]]
    assert left(*MIXED, height=9) == "".join(order) + BELOW


def test_an_interrupt_tells_what_had_failed_before() -> None:
    assert left(*MIXED, error=KeyboardInterrupt()) == FINAL + BELOW + (
        "stock: failed after 0.0 s: the writer wrote nothing\n"
        "taxes: timed-out after 600.0 s: no answer in 600 s\n"
    )


def test_work_that_did_not_end_is_left_as_cancelled() -> None:
    events = (Planned(("a", "b"), (), (), ()), Started("a", 1))
    assert left(*events) == (
        "  KEY  STATE           TIME      SIZE\n"
        "! a    cancelled      12.5s\n"
        "! b    cancelled\n"
        "2 keys: 2 cancelled in 12.5s\n"
    )
    assert left() == ""


def test_a_publication_is_the_last_line() -> None:
    assert left(*GOOD) == (
        "  KEY        STATE           TIME      SIZE\n"
        "✓ customers  refreshed       1.0s    2.0 kB\n"
        "1 key: 1 refreshed, 2.0 kB in 12.5s\n"
        f"1 state in defs/.local_defs_state, digest {MANIFEST.digest[:12]}\n"
    )


def test_a_commit_and_a_reload_are_the_last_lines() -> None:
    committed = Committed("s3://bucket/base", 4, {"a": "v1"}, {"a": "v1"})
    assert left(committed, Reloaded("platform", "http://dagster:3000")) == (
        "1 key changed in s3://bucket/base, commit 4\n"
        "platform has been reloaded by http://dagster:3000\n"
    )


def test_of_very_many_keys_with_last_good_state_the_table_tells() -> None:
    keys = tuple(f"key{number:02d}" for number in range(23))
    error = WriterError("no")
    ends = (Finished(key, Outcome.LAST_GOOD, 1.0, 1, error) for key in keys)
    lines = left(Planned(keys, (), (), ()), *ends, height=10).splitlines()
    assert len([line for line in lines if line.startswith("! key")]) == 23
    assert lines[-2:] == [
        "warning: key19: last-good, 1 B; its writer failed after 1.0 s: no",
        "warning: 3 more keys: last-good, see the table",
    ]


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_sees_every_state_in_its_colour(colour: bool) -> None:
    stream = io.StringIO()
    with Live(console_for(stream, colour=colour), jobs=2, verbose=True) as report:
        for event in (*MIXED, Output("orders", "[bold]as it is[/bold]")):
            report(event)
    text = stream.getvalue()
    assert ("\x1b[1;31m" in text) is colour
    assert "orders | [bold]as it is[/bold]" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
