"""What a writer left is judged; what may stand in for it, and how that is said."""

from __future__ import annotations

import json
import sysconfig
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.refresh.events import Outcome, Output, Retried, Started
from hatch_defs_state.refresh.extent import Extent, count_items
from tests.support.commands import base_environment, run
from tests.support.shop import Shop

DEFS_STATE = str(Path(sysconfig.get_path("scripts"), "defs-state"))
DECLARED = "src/shop/defs/defs.yaml:1: [a]"


@pytest.mark.parametrize("empty", [[], {}, {"tables": [], "views": {}}])
def test_empty_state_is_refused_unless_it_is_allowed(tmp_path: Path, empty: object) -> None:
    shop = Shop.make(tmp_path, {"a": empty})
    refused = shop.refresh()
    assert refused.outcomes == {"a": Outcome.FAILED}
    assert refused.messages == [
        f'{DECLARED} the state is empty\n  hint: if it may be, set `allow-empty = ["a"]`'
    ]
    assert not shop.state.exists()
    assert shop.refresh(allow_empty=("a*",)).outcomes == {"a": Outcome.REFRESHED}


def test_state_that_shrank_too_much_is_refused_with_both_counts(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": list(range(100))})
    shop.refresh()
    shop.plan(a={"tables": list(range(50))})
    assert shop.refresh().outcomes == {"a": Outcome.REFRESHED}
    shop.plan(a=[1] * 20)
    refused = shop.refresh()
    assert refused.messages == [
        (
            f"{DECLARED} the state has shrunk by 60%, more than max-shrink (50%): "
            "it has 20 items, the last good one 50\n"
            "  hint: if that is right, raise `max-shrink` for this build"
        )
    ]
    assert shop.content() == {"a": {"tables": list(range(50))}}
    components = {"a": {"max_shrink": 0.7}}
    assert shop.refresh(components=components).outcomes == {"a": Outcome.REFRESHED}


def test_without_a_cache_the_state_in_the_tree_is_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.make(tmp_path / "shop", {"a": list(range(10))})
    shop.refresh()
    monkeypatch.setenv("DEFS_STATE_CACHE_DIR", str(tmp_path / "cache"))
    shop.plan(a=[1])
    assert "it has 1 items, the last good one 10" in shop.refresh().messages[0]


@pytest.mark.parametrize(
    ("plan", "settings"),
    [
        ({"raise": "the API answered 503"}, {}),
        ({"sleep": 60}, {"timeout": 0.5}),
        ([], {}),
    ],
    ids=["raises", "takes too long", "is empty"],
)
def test_the_last_good_state_stands_in_where_that_is_wanted(
    tmp_path: Path, plan: object, settings: dict[str, Any]
) -> None:
    shop = Shop.make(tmp_path, {"a": [1], "b": [2]}, on_failure="last-good")
    before = shop.refresh().manifest
    shop.plan(a=plan, b=[2, 3])
    again = shop.refresh(**settings)
    assert again.outcomes == {"a": Outcome.LAST_GOOD, "b": Outcome.REFRESHED}
    assert shop.content() == {"a": [1], "b": [2, 3]}
    note = again.finished["a"].note
    assert note is not None
    assert note.startswith("its last good state, ")
    assert note.endswith(" s old, is used")
    assert again.finished["a"].error is not None
    assert before is not None
    assert again.manifest is not None
    assert again.manifest.keys["a"].written_at == before.keys["a"].written_at
    assert again.manifest.keys["a"].last_good_age in range(60)
    sealed = json.loads((shop.state / "manifest.json").read_bytes())
    assert "last_good_age" in sealed["keys"]["a"]
    assert "last_good_age" not in sealed["keys"]["b"]
    shop.plan(a=[1])
    assert shop.refresh(refresh="reuse").outcomes == {"a": Outcome.UNCHANGED, "b": Outcome.REUSED}


def test_a_last_good_state_that_is_too_old_or_absent_is_no_help(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": {"raise": "no"}}, on_failure="last-good")
    (message,) = shop.refresh().messages
    assert message.splitlines()[0] == (
        f"{DECLARED} the writer of shop.components.Planned raised RuntimeError: no; "
        "there is no last good state to use"
    )
    shop.plan(a=[1])
    shop.refresh()
    shop.plan(a={"raise": "no"})
    (message,) = shop.refresh(max_age=0.001).messages
    assert "; its last good state is 0 s old, max-age is 0 s" in message


def test_one_failure_fails_the_refresh_and_keeps_the_generation_before(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": [1], "b": [2]})
    shop.refresh()
    shop.plan(a=[5], b={"raise": "no"})
    failed = shop.refresh()
    assert failed.outcomes == {"a": Outcome.REFRESHED, "b": Outcome.FAILED}
    assert len(failed.errors) == 1
    assert shop.content() == {"a": [1], "b": [2]}


def test_retries_are_reported_with_their_reason(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": {"raise": "no"}}, retries=1)
    failed = shop.refresh()
    assert failed.runs == 2
    assert [e.attempt for e in failed.events if isinstance(e, Started)] == [1, 2]
    (retried,) = [event for event in failed.events if isinstance(event, Retried)]
    assert 0.5 <= retried.delay <= 1.0
    assert "raised RuntimeError: no" in str(retried.error)


def test_what_a_writer_printed_is_reported(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": [1]})
    module = shop.root / "src/shop/components.py"
    module.write_text(
        module.read_text(encoding="utf-8").replace(
            "plan = json", "print('asking'); plan = json", 1
        ),
        encoding="utf-8",
    )
    events = shop.refresh().events
    assert [event for event in events if isinstance(event, Output)] == [Output("a", "asking\n")]


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_writers_run_on_any_executor(tmp_path: Path, kind: str) -> None:
    plan = {"a": [1], "b": [2], "c": {"raise": "no"}, "d": [4], "e": [5]}
    shop = Shop.make(tmp_path, plan, jobs=2)
    with shop.environment():
        executor = (
            ThreadPoolExecutor(2)
            if kind == "threads"
            else ProcessPoolExecutor(2, mp_context=get_context("spawn"))
        )
        with executor:
            failed = shop.refresh(executor)
            assert failed.outcomes.pop("c") is Outcome.FAILED
            assert "raised RuntimeError: no" in failed.messages[0]
            shop.plan(c=[3])
            done = shop.refresh(executor)
    assert set(done.outcomes.values()) <= {Outcome.REFRESHED, Outcome.UNCHANGED}
    assert shop.content() == {"a": [1], "b": [2], "c": [3], "d": [4], "e": [5]}


def test_writers_run_on_a_dask_cluster_of_two_workers(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    plan = {key: [number] for number, key in enumerate("abcdef")}
    shop = Shop.make(tmp_path, plan, jobs=4)
    with (
        shop.environment(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        done = shop.refresh(executor)
        assert done.outcomes == dict.fromkeys("abcdef", Outcome.REFRESHED)
        assert shop.content() == plan
        shop.plan(a=["changed"])
        command = [DEFS_STATE, "refresh", "--executor", f"dask:{cluster.scheduler_address}"]
        result = run(command, cwd=shop.root, env=base_environment())
    assert result.returncode == 0, result.stderr
    assert shop.content() == plan | {"a": ["changed"]}


def test_an_executor_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    shop = Shop.make(tmp_path, {"a": [1]})
    for name, status, message in (
        ("ray:here", 2, "--executor: expected `dask:` and the address of a scheduler, got 'ray:"),
        ("dask:tcp://127.0.0.1:9", 1, "--executor: no scheduler answers at tcp://127.0.0.1:9: "),
    ):
        command = [DEFS_STATE, "refresh", "--executor", name]
        result = run(command, cwd=shop.root, env=base_environment())
        assert result.returncode == status
        assert f"error: {message}" in result.stderr
        assert "Traceback" not in result.stderr


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
)


def leaves(node: object) -> int:
    if isinstance(node, dict):
        return sum(map(leaves, node.values()))
    return sum(map(leaves, node)) if isinstance(node, list) else 1


@given(documents)
def test_items_are_the_values_that_are_no_containers(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "items.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    expected = leaves(document) if isinstance(document, (dict, list)) else None
    assert count_items(file) == expected


extents = st.builds(
    Extent, size=st.integers(1, 10**9), items=st.none() | st.integers(0, 10**6), alone=st.booleans()
)


@given(extents, extents)
def test_a_state_has_shrunk_when_it_holds_less(now: Extent, before: Extent) -> None:
    fall, _ = now.fall_from(before)
    if now.items is not None and before.items:
        assert (fall > 0) == (now.items < before.items)
    else:
        assert (fall > 0) == (now.size < before.size)
    assert fall <= 1
