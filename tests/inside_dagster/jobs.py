"""The refresh job, run in this process: what it does when something goes wrong."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dagster import DagsterInstance, DefaultScheduleStatus
from dagster._core.instance_for_test import instance_for_test

from hatch_defs_state.errors import SettingsError
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.inside_dagster.storages import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2] / "fixtures" / "dagster_versioned"


class Sources:
    """What the writers of the fixture project read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, **tables: Any) -> None:
        for name, value in tables.items():
            (self.folder / f"{name}.json").write_text(json.dumps(value))

    def writers(self) -> list[str]:
        """Return which writers ran since the last call."""
        log = self.folder / "writers.log"
        names = sorted(log.read_text().split()) if log.exists() else []
        log.unlink(missing_ok=True)
        return names


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    monkeypatch.setenv("SOURCES", str(tmp_path))
    monkeypatch.syspath_prepend(str(PROJECT / "src"))
    sources = Sources(tmp_path)
    sources.set(orders=["a", "b", "c"], stock=["x"])
    return sources


@pytest.fixture
def storage(tmp_path: Path) -> VersionedStorage:
    return VersionedStorage(tmp_path / "store")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    module, name, _ = OURS
    config = {"module": module, "class": name, "config": {"base": str(tmp_path / "store")}}
    with instance_for_test(overrides={"defs_state_storage": config}) as instance:
        yield instance


def job_of(**options: Any) -> Any:
    from hatch_defs_state.dagster import build_refresh_job

    return build_refresh_job(project=PROJECT, **options)


def push(storage: VersionedStorage, name: str, tables: list[str]) -> None:
    """Make current what the writer of a source would write."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(json.dumps(tables))
        file.flush()
        storage.push({f"Tables[{name}]": Path(file.name)})


def run(job: Any, instance: DagsterInstance) -> tuple[bool, list[str]]:
    """Run a job; return whether it succeeded, and what its log and its failures say."""
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    said = [entry.user_message for entry in instance.all_logs(result.run_id)]
    for event in result.all_node_events:
        if event.is_step_failure:
            data = event.event_specific_data
            said.append(str(data.user_failure_data.description if data.user_failure_data else data))
    return result.success, said


def test_a_failing_writer_fails_the_run_without_a_commit_unless_the_last_good_state_will_do(
    sources: Sources, storage: VersionedStorage, instance: DagsterInstance
) -> None:
    push(storage, "orders", ["a", "b", "c"])
    sources.set(orders={"raise": "the source is down"}, stock=["x", "y"])
    success, said = run(job_of(), instance)
    assert not success
    assert (
        "src/platform_versioned/defs/orders/defs.yaml:1: [Tables[orders]] the writer of "
        "platform_versioned.components.Tables raised RuntimeError: the source is down"
    ) in "\n".join(said)
    assert storage.head().serial == 1
    assert sources.writers() == ["orders", "stock"]

    job = job_of(settings={"on-failure": "last-good"})
    success, said = run(job, instance)
    assert success, said
    assert set(storage.head().entry.changes) == {"Tables[stock]"}
    assert "Tables[orders]: last-good" in "\n".join(said)
    assert "Tables[stock]: refreshed in" in "\n".join(said)
    assert f"1 key changed in {storage.url}, commit 2" in said
    assert "no web server is known: nothing is reloaded" in said


def test_nothing_is_committed_when_nothing_has_changed_and_settings_may_name_the_store(
    sources: Sources, storage: VersionedStorage
) -> None:
    job = job_of(keys=["Tables?orders?"], batch_size=1, settings={"store": storage.url})
    push(storage, "orders", ["a", "b", "c"])
    with DagsterInstance.ephemeral() as instance:
        success, said = run(job, instance)
    assert success, said
    assert sources.writers() == ["orders"]
    assert f"0 keys changed in {storage.url}, commit 1" in said
    assert storage.head().serial == 1


def test_a_job_for_no_component_at_all_says_so(sources: Sources, instance: DagsterInstance) -> None:
    success, said = run(job_of(keys=["nothing"]), instance)
    assert success, said
    assert "no component with VERSIONED_STATE_STORAGE has a key like nothing" in said
    assert sources.writers() == []


def test_without_a_store_the_run_fails_with_what_to_do(sources: Sources) -> None:
    with DagsterInstance.ephemeral() as instance:
        success, said = run(job_of(), instance)
    assert not success
    assert "where versioned state is kept is not known" in "\n".join(said)
    assert sources.writers() == []


def test_wrong_settings_are_refused_where_the_job_is_defined() -> None:
    with pytest.raises(SettingsError) as caught:
        job_of(settings={"timeot": "1m"})
    assert caught.value.message == (
        "build_refresh_job: settings.timeot: unknown setting; did you mean 'timeout'?"
    )


@pytest.mark.usefixtures("sources")
def test_the_fixture_project_finds_itself_and_has_a_schedule() -> None:
    from hatch_defs_state.dagster import build_refresh_schedule

    sys.modules.pop("platform_versioned.definitions", None)
    from platform_versioned.definitions import refresh_job  # type: ignore[import-not-found]

    assert refresh_job.name == "refresh_defs_state"
    schedule = build_refresh_schedule(
        refresh_job, "*/5 * * * *", default_status=DefaultScheduleStatus.RUNNING
    )
    assert (schedule.job_name, schedule.cron_schedule) == ("refresh_defs_state", "*/5 * * * *")
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
