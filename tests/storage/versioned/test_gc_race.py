"""Clean-up at full speed beside commits, rollbacks and loads: no pinned read ever fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.storage.versioned import Retention, VersionedStorage, collect
from tests.support.gc_race import race

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS = float(os.environ.get("DEFS_STATE_TEST_RACE_SECONDS", "8"))
"""Of each race; a minute is the time for which it is promised to hold."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_no_pinned_read_ever_fails(
    new_store: Callable[[str], tuple[str, Mapping[str, Any]]],
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    url, options = new_store(kind)
    done, failed = race(url, options, SECONDS)
    for name, count in done.items():
        record_property(name, count)
    assert failed == []
    assert done["reads"] > 20 * SECONDS
    assert done["removed"] > 2 * SECONDS
    assert min(done["pushes"], done["cleanups"], done["pins"]) > SECONDS / 2
    storage = VersionedStorage(url, options=options)
    collect(storage, Retention(keep_commits=1, keep_age=0, grace=0))
    report = storage.verify()
    assert (report.commits, report.problems, report.unreferenced) == (1, (), ())
