"""GitHub Actions shows errors where components are declared, and a summary of the job."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.errors import (
    CombinedError,
    ComponentError,
    DefsStateError,
    SourceLocation,
    WriterError,
)
from hatch_defs_state.refresh.events import Event, Finished, Outcome, Planned
from hatch_defs_state.reporting.github import GitHub, annotate, command
from hatch_defs_state.reporting.summary import escape
from tests.reporting.events import GOOD, MANIFEST, MIXED

LOCATIONS = {"stock": SourceLocation("defs/stock, old/defs.yaml", 12)}


def parse(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does (`ActionCommand.TryParseV2`)."""
    assert line.startswith("::")
    start, _, data = line[2:].partition("::")
    name, _, rest = start.partition(" ")
    pairs = (pair.split("=", 1) for pair in rest.split(",") if pair)
    marks = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}

    def unescape(text: str, known: dict[str, str]) -> str:
        for mark, character in known.items():
            text = text.replace(mark, character)
        return text.replace("%25", "%")

    lines = {mark: marks[mark] for mark in ("%0D", "%0A")}
    return name, {key: unescape(value, marks) for key, value in pairs}, unescape(data, lines)


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_the_runner_reads_what_was_meant(message: str, title: str, file: str) -> None:
    line = command("error", message, {"file": file, "line": 3, "col": None, "title": title})
    assert not set(line) & {"\r", "\n"}
    assert parse(line) == ("error", {"file": file, "line": "3", "title": title}, message)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\r\n|<`&")))
def test_markdown_shows_text_as_it_is_in_one_cell(text: str) -> None:
    shown = escape(text)
    assert not set(shown.replace("<br>", "")) & set("\r\n|<>`*_[]\\~$@:!")
    assert html.unescape(shown.replace("<br>", "\n")) == re.sub(r"\r\n|\r", "\n", text.strip())


def reported(
    tmp_path: Path, *events: Event, error: BaseException | None = None
) -> tuple[list[str], str]:
    stream, summary = io.StringIO(), tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    environment = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": "/srv"}
    times = iter((100.0, 162.0))
    report = GitHub(
        stream,
        LOCATIONS,
        root=Path("/srv/platform"),
        environment=environment,
        clock=lambda: next(times),
    )
    for event in events:
        report(event)
    report.close(error)
    return stream.getvalue().splitlines(), summary.read_text(encoding="utf-8")


def test_what_ended_badly_is_annotated_where_it_is_declared(tmp_path: Path) -> None:
    errors = CombinedError([e.error for e in MIXED if isinstance(e, Finished) and e.error])
    annotations, _ = reported(tmp_path, *MIXED, error=errors)
    assert annotations == [
        "::warning title=defs-state::defs/old/defs.yaml:1: Old is no component with state",
        (
            "::warning file=platform/defs/shop/defs.yaml,line=3,col=7,"
            "title=defs-state%3A orders%3A last-good::"
            "orders: last-good, 1.5 MB: its last good state, 3 days old, is used; "
            "its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503"
        ),
        (
            "::error file=platform/defs/stock%2C old/defs.yaml,line=12,"
            "title=defs-state%3A stock%3A failed::the writer wrote nothing"
        ),
        "::error title=defs-state%3A taxes%3A timed-out::no answer%0Ain 600 s",
    ]


def test_the_summary_has_a_row_a_key_and_problems_first(tmp_path: Path) -> None:
    _, summary = reported(tmp_path, *MIXED, error=DefsStateError("2 of 7 writers | failed"))
    assert summary == (
        "before\n"
        "### defs-state: failed\n"
        "\n"
        "8 keys: 1 refreshed, 1 unchanged, 1 reused, 1 last-good, 1 failed, 1 timed-out, "
        "2 cancelled, 2.5 MB in 1m 02s\n"
        "\n"
        "- 2 of 7 writers &#124; failed\n"
        "\n"
        "| key | outcome | seconds | size | note |\n"
        "|---|---|---:|---:|---|\n"
        "| orders | **last-good** | 3.0 | 1.5 MB "
        "| its last good state, 3 days old, is used; "
        "the writer of shop.Api raised HTTPError&#58; 503 |\n"
        "| prices | **cancelled** | 1.2 |  |  |\n"
        "| stock | **failed** | 0.0 |  | the writer wrote nothing |\n"
        "| taxes | **timed-out** | 600.0 |  | no answer<br>in 600 s |\n"
        "| users | **cancelled** |  |  |  |\n"
        "| customers | refreshed | 12.3 | 2.0 kB |  |\n"
        "| invoices | unchanged | 0.5 | 1.0 MB |  |\n"
        "| regions | reused |  | 12 B | 2 h old |\n"
        "\n"
    )


def test_the_summary_of_a_publication_has_its_digest(tmp_path: Path) -> None:
    annotations, summary = reported(tmp_path, *GOOD)
    assert annotations == []
    assert summary == (
        "before\n"
        "### defs-state: published\n"
        "\n"
        "1 key: 1 refreshed, 2.0 kB in 1m 02s\n"
        "\n"
        f"Digest `{MANIFEST.digest}` in defs/.local&#95;defs&#95;state\n"
        "\n"
        "| key | outcome | seconds | size | note |\n"
        "|---|---|---:|---:|---|\n"
        "| customers | refreshed | 1.0 | 2.0 kB |  |\n"
        "\n"
    )


def test_an_interrupt_before_the_plan_leaves_a_summary_without_a_table(tmp_path: Path) -> None:
    _, summary = reported(tmp_path, error=KeyboardInterrupt())
    assert summary == "before\n### defs-state: interrupted\n\n0 keys: none in 1m 02s\n\n"


def test_a_summary_is_no_longer_than_github_takes(tmp_path: Path) -> None:
    keys = tuple(f"key{number}" for number in range(20_000))
    error = WriterError("é" * 1000)
    events = (Finished(key, Outcome.FAILED, 1.0, error=error) for key in keys)
    _, summary = reported(tmp_path, Planned(keys, (), (), ()), *events)
    assert 850_000 < len(summary.encode()) < 2**20
    assert re.search(r"&#8230; \|\n\nand \d+ more\n\n$", summary)


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    stream = io.StringIO()
    GitHub(stream, {}, environment={"GITHUB_STEP_SUMMARY": str(tmp_path)}).close(None)
    assert stream.getvalue().startswith(
        "::warning title=defs-state::the job summary could not be written: "
    )
    assert stream.getvalue().count("\n") == 1


def test_errors_before_any_writer_are_annotated_too(tmp_path: Path) -> None:
    unknown = ComponentError(
        "unknown type shop.Apj",
        key="orders",
        location=SourceLocation("/elsewhere/defs.yaml", 3),
        hint="did you mean shop.Api?",
        output=f"start{'x' * 4000}end\n",
    )
    expected = (
        (
            "::error file=/elsewhere/defs.yaml,line=3,title=defs-state%3A orders::"
            f"unknown type shop.Apj%0Ahint: did you mean shop.Api?%0A{'x' * 3997}end"
        ),
        "::error title=defs-state::no project",
    )
    both = CombinedError([unknown, DefsStateError("no project")])
    assert annotate(both, root=Path("/srv"), environment={}) == expected
    annotations, _ = reported(tmp_path, error=both)
    assert tuple(annotations) == expected
