"""A log has one line an event, in a wording that does not change."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from hatch_defs_state.refresh.events import (
    Committed,
    Event,
    Finished,
    Outcome,
    Output,
    Planned,
    Reloaded,
    Started,
)
from hatch_defs_state.reporting.choose import Mode, reporter
from hatch_defs_state.reporting.lines import Lines
from hatch_defs_state.reporting.wording import Level, Line, describe, duration, size
from tests.reporting.events import GOOD, MANIFEST, MIXED, PUBLISHED

WARNINGS = """\
warning: defs/old/defs.yaml:1: Old is no component with state
warning: orders: failed, runs again in 2.5 s: the writer of shop.Api raised HTTPError: 503
warning: orders: last-good, 1.5 MB: its last good state, 3 days old, is used; \
its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503
stock: failed after 0.0 s: the writer wrote nothing
taxes: timed-out after 600.0 s: no answer in 600 s
"""
LOG = """\
another refresh of this project is under way (process 4711, since 09:15:02); waiting
7 writers to run, 1 state reused
archive is kept elsewhere (VERSIONED_STATE_STORAGE)
warning: defs/old/defs.yaml:1: Old is no component with state
customers: refreshed in 12.3 s, 2.0 kB
invoices: unchanged in 0.5 s, 1.0 MB
warning: orders: failed, runs again in 2.5 s: the writer of shop.Api raised HTTPError: 503
warning: orders: last-good, 1.5 MB: its last good state, 3 days old, is used; \
its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503
stock: failed after 0.0 s: the writer wrote nothing
taxes: timed-out after 600.0 s: no answer in 600 s
prices: cancelled after 1.2 s
"""
VERBOSE = """\
another refresh of this project is under way (process 4711, since 09:15:02); waiting
7 writers to run, 1 state reused
archive is kept elsewhere (VERSIONED_STATE_STORAGE)
warning: defs/old/defs.yaml:1: Old is no component with state
regions: reused, 12 B (2 h old)
customers: started
invoices: started
customers | 12 customers
customers |
customers | done
customers: refreshed in 12.3 s, 2.0 kB
invoices: unchanged in 0.5 s, 1.0 MB
orders: started
warning: orders: failed, runs again in 2.5 s: the writer of shop.Api raised HTTPError: 503
orders: started, attempt 2
warning: orders: last-good, 1.5 MB: its last good state, 3 days old, is used; \
its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503
stock: started
stock: failed after 0.0 s: the writer wrote nothing
taxes: started
taxes: timed-out after 600.0 s: no answer in 600 s
prices: started
prices: cancelled after 1.2 s
users: cancelled
"""


def log(mode: Mode, *events: Event, **environment: str) -> str:
    stream = io.StringIO()
    with reporter(stream, mode=mode, environment=environment) as report:
        for event in events:
            report(event)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "expected"), [("quiet", WARNINGS), ("auto", LOG), ("verbose", VERBOSE)]
)
def test_a_log_says_what_its_mode_asks_for(mode: Mode, expected: str) -> None:
    assert log(mode, *MIXED) == expected


def test_a_publication_is_the_last_line() -> None:
    assert log("auto", *GOOD) == (
        "1 writer to run\n"
        "customers: refreshed in 1.0 s, 2.0 kB\n"
        f"1 state in defs/.local_defs_state, digest {MANIFEST.digest[:12]}\n"
    )
    assert log("quiet", *GOOD) == ""


def test_a_commit_and_a_reload_are_the_last_lines() -> None:
    versions = {"a": "v1", "b": "v2"}
    assert log(
        "auto",
        Committed("s3://bucket/base", 4, versions, versions),
        Reloaded("platform", "http://dagster:3000"),
    ) == (
        "2 keys changed in s3://bucket/base, commit 4\n"
        "platform has been reloaded by http://dagster:3000\n"
    )
    unchanged = Committed("s3://bucket/base", 4, {}, versions)
    assert log("auto", unchanged) == "nothing has changed in s3://bucket/base, commit 4\n"


def test_colours_are_for_those_who_want_them() -> None:
    failed = Finished("stock", Outcome.FAILED)
    planned = Planned((), (), (), ("careful",))
    plain = "warning: careful\nstock: failed after 0.0 s\n"
    assert log("auto", planned, failed) == plain
    assert log("auto", planned, failed, FORCE_COLOR="1", NO_COLOR="1") == plain
    assert log("auto", planned, failed, FORCE_COLOR="1") == (
        "\x1b[1;33mwarning:\x1b[0m careful\n\x1b[31mstock: failed after 0.0 s\x1b[0m\n"
    )


def test_one_event_is_one_line_for_adapters_with_a_log_of_their_own() -> None:
    assert describe(Started("orders", 1)) is None
    assert describe(Output("orders", "x")) is None
    assert describe(Finished("orders", Outcome.REUSED)) is None
    assert describe(Planned((), (), (), ())) is None
    both = Planned(("a", "b"), (), (("c", "ELSEWHERE"),), ("careful",))
    line = describe(both)
    assert line == Line("2 writers to run; c is kept elsewhere (ELSEWHERE); careful", Level.WARNING)
    assert line is not None
    assert line.warning
    assert not Line("").warning
    published = describe(PUBLISHED)
    assert published is not None
    assert published.level is Level.INFO


def test_what_a_project_names_cannot_forge_lines_or_colours() -> None:
    stream = io.StringIO()
    Lines(stream)(Finished("a\nb\x1b[31m", Outcome.REFRESHED, 1.0, 1))
    assert stream.getvalue() == "a b\N{REPLACEMENT CHARACTER}[31m: refreshed in 1.0 s, 1 B\n"


def test_units_change_where_a_number_would_be_rounded_up_to_the_next() -> None:
    numbers = (0, 999, 1000, 999_949, 999_950, 10**18)
    assert [size(number) for number in numbers] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "1000000.0 TB",
    ]
    assert [duration(number) for number in (-1, 0.04, 59.94, 59.96, 3599, 3600, 90_000)] == [
        "0.0s",
        "0.0s",
        "59.9s",
        "1m 00s",
        "59m 59s",
        "1h 00m",
        "25h 00m",
    ]
    assert [duration(number, tenths=False) for number in (0.4, 59.4, 59.6)] == [
        "0s",
        "59s",
        "1m 00s",
    ]


def test_a_log_does_not_import_what_draws_tables() -> None:
    script = (
        "import sys, hatch_defs_state.reporting.choose as choose; "
        "choose.reporter(sys.stderr, environment={}); "
        "print('rich' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
