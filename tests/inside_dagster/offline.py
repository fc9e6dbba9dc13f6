"""A store that does not answer: what Dagster has read last stands in, where that is allowed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)
from dagster._core.instance_for_test import instance_for_test
from dagster._core.storage.defs_state.base import DefsStateStorage, set_defs_state_storage
from dagster._serdes.config_class import ConfigurableClassData
from dagster.components.utils.defs_state import DefsStateConfig
from dagster_shared.serdes.objects.models.defs_state_info import DefsStateManagementType

from hatch_defs_state.errors import (
    DamagedObjectError,
    SettingsError,
    StoreFormatError,
    StoreUnavailableError,
)
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.inside_dagster.storages import DAGSTERS, OURS, download, storage_at, upload, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLE = "DEFS_STATE_OFFLINE"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFS_STATE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def ours(instance: DagsterInstance, base: Path) -> Any:
    return storage_at(OURS, base, instance)


def started(instance: Any, base: Path | str, **config: Any) -> Any:
    """Return the storage as a process has it that starts now."""
    module, name, _ = OURS
    data = ConfigurableClassData(module, name, json.dumps({"base": str(base), **config}))
    storage: Any = data.rehydrate(as_type=DefsStateStorage)
    storage.register_instance(instance)
    return storage


def loaded(storage: Any, keys: str, folder: Path) -> dict[str, bytes]:
    """Read the states of some keys at the versions that are current, as a code server does."""
    info = storage.get_latest_defs_state_info()
    return {key: download(storage, key, info.get_version(key), folder) for key in keys}


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Give an address on which nobody listens, and nobody will."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


def unmounted(base: Path) -> str:
    """Take the folder of a store away, and return how it is missed."""
    shutil.move(base, base.with_name("not mounted"))
    return f"there is no folder {base}"


def test_a_store_that_does_not_answer_is_an_error(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    missed = unmounted(base)
    for storage in (ours, started(instance, base), started(instance, base, offline="fail")):
        for ask, *key in ((storage.get_latest_defs_state_info,), (storage.get_latest_version, "a")):
            with pytest.raises(StoreUnavailableError) as caught:
                ask(*key)
            assert str(caught.value) == (
                f"{missed}\n  hint: mount it; if it was removed on purpose, make an empty folder"
            )


def test_a_folder_that_was_never_there_is_an_empty_store(instance: Any, base: Path) -> None:
    storage = started(instance, base, offline="last-pinned")
    assert storage.get_latest_defs_state_info() is None


def test_what_was_read_last_stands_in_where_that_is_allowed_and_said(
    ours: Any,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for key in "ab":
        upload(ours, key, "v1", f"{key}1".encode(), tmp_path)
    since = ours.get_latest_defs_state_info()
    assert loaded(ours, "ab", tmp_path) == {"a": b"a1", "b": b"b1"}
    missed = unmounted(base)
    monkeypatch.setenv(VARIABLE, "fail")
    config = {"base": str(base), "offline": "last-pinned"}
    table = {"defs_state_storage": {"module": OURS[0], "class": OURS[1], "config": config}}
    with instance_for_test(overrides=table) as instance, warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        storage: Any = instance.defs_state_storage
        with caplog.at_level(logging.WARNING):
            assert storage.get_latest_defs_state_info() == since
            assert storage.get_latest_version("a") == "v1"
            assert storage.list_state_keys_with_prefix("b") == ["b"]
            assert loaded(storage, "ab", tmp_path) == {"a": b"a1", "b": b"b1"}
    messages = [str(one.message) for one in w if one.category is RuntimeWarning]
    said_once = f"{missed}; Dagster loads the commit 2, which it read last, "
    assert [message[: len(said_once)] for message in messages] == [said_once]
    assert messages[0].endswith(" s old")
    ours_logged = [r.getMessage() for r in caplog.records if r.name.startswith("hatch_defs_state")]
    assert ours_logged == messages
    assert not base.exists()


def test_the_environment_allows_it_where_the_configuration_says_nothing(
    instance: Any, ours: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    unmounted(base)
    monkeypatch.setenv(VARIABLE, "last-pinned")
    with pytest.warns(RuntimeWarning, match="loads the commit 1, which it read last"):
        assert loaded(started(instance, base), "a", tmp_path) == {"a": b"a1"}
    with pytest.raises(StoreUnavailableError):
        started(instance, base, offline="fail").get_latest_defs_state_info()


def test_once_it_answers_it_is_read_and_its_next_silence_is_said_again(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    with pytest.warns(RuntimeWarning, match="loads the commit 1, which it read last"):
        assert loaded(storage, "a", tmp_path) == {"a": b"a1"}
    shutil.move(base.with_name("not mounted"), base)
    upload(ours, "a", "v2", b"a2", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded(storage, "a", tmp_path) == {"a": b"a2"}
    unmounted(base)
    with pytest.warns(RuntimeWarning, match="loads the commit 2, which it read last"):
        assert loaded(storage, "a", tmp_path) == {"a": b"a2"}


def test_files_beside_a_state_are_handed_out_without_the_store(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_bytes(b"1")
    ours.upload_state_from_path("a", "v1", folder)
    ours.get_latest_defs_state_info()
    ours.download_state_to_path("a", "v1", tmp_path / "restored")
    unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    config = DefsStateConfig(
        key="a",
        management_type=DefsStateManagementType.VERSIONED_STATE_STORAGE,
        refresh_if_dev=True,
    )
    with set_defs_state_storage(storage), pytest.warns(RuntimeWarning):
        context = DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)
    with context.state_path(config, storage, tmp_path) as path:
        assert (path / "sub" / "file").read_bytes() == b"1"
    assert (path / "sub" / "file").read_bytes() == b"1"


def test_the_process_of_a_run_reads_what_it_is_pinned_to_without_the_store(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    unmounted(base)
    run = started(instance, base, offline="last-pinned")
    assert download(run, "a", "v1", tmp_path) == b"a1"


def test_a_commit_that_was_only_looked_at_does_not_replace_one_that_was_loaded(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    upload(ours, "a", "v2", b"a2", tmp_path)
    assert versions(started(instance, base)) == {"a": "v2"}
    unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    with pytest.warns(RuntimeWarning, match="loads the commit 1"):
        assert loaded(storage, "a", tmp_path) == {"a": b"a1"}


def test_what_is_kept_is_whole_however_little_of_it_was_read_at_last(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    for key in "abc":
        upload(ours, key, "v1", f"{key}1".encode(), tmp_path)
    loaded(ours, "ab", tmp_path)
    for key in "abc":
        upload(ours, key, "v2", f"{key}2".encode(), tmp_path)
    # As when a process is killed while it loads.
    assert loaded(started(instance, base), "a", tmp_path) == {"a": b"a2"}
    missed = unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    with pytest.warns(RuntimeWarning, match="loads the commit 6"):
        assert loaded(storage, "ab", tmp_path) == {"a": b"a2", "b": b"b2"}
    storage.get_latest_defs_state_info()
    with pytest.raises(StoreUnavailableError) as caught:
        download(storage, "c", "v2", tmp_path)
    assert str(caught.value) == (
        f"{missed}; and of the commit 6, which Dagster read last, {VersionCache().folder} does "
        "not have the intact state of: c"
    )


def test_a_load_that_breaks_off_leaves_the_commit_before_at_hand(
    instance: Any, ours: Any, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for key in "ab":
        upload(ours, key, "v1", f"{key}1".encode(), tmp_path)
    loaded(ours, "ab", tmp_path)
    for key in "ab":
        upload(ours, key, "v2", f"{key}2".encode(), tmp_path)
    (base / "b" / "v2").unlink()
    storage = started(instance, base, offline="last-pinned")
    with caplog.at_level(logging.WARNING), pytest.raises(DamagedObjectError):
        loaded(storage, "ab", tmp_path)
    told = f"the commit 4 of {base} will not be at hand when the store does not answer: "
    assert [message[: len(told)] for message in caplog.messages] == [told]
    unmounted(base)
    with pytest.warns(RuntimeWarning, match="loads the commit 2"):
        assert loaded(storage, "ab", tmp_path) == {"a": b"a1", "b": b"b1"}


def test_nothing_was_read_before(instance: Any, tmp_path: Path) -> None:
    url, options = os.environ["S3_URL"], json.loads(os.environ["S3_OPTIONS"])
    with closed_port() as endpoint:
        silent = {**options, "endpoint": endpoint, "retry_config": {"max_retries": 0}}
        storage = started(instance, f"{url}/new", options=silent, offline="last-pinned")
        with pytest.raises(StoreUnavailableError) as caught:
            storage.get_latest_defs_state_info()
    assert caught.value.message.endswith(
        "; and Dagster has read nothing from there before that "
        f"{tmp_path}/cache/versions would know of"
    )


@pytest.mark.parametrize("damage", ["altered", "removed"])
def test_what_was_read_last_is_not_loaded_when_it_is_damaged(
    instance: Any, ours: Any, base: Path, tmp_path: Path, damage: str
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    missed = unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    cache = VersionCache().folder
    for file in cache.rglob("state"):
        file.chmod(0o644)
        file.write_bytes(b"a2") if damage == "altered" else file.unlink()
    with pytest.warns(RuntimeWarning), pytest.raises(StoreUnavailableError) as caught:
        loaded(storage, "a", tmp_path)
    assert caught.value.message == (
        f"{missed}; and of the commit 1, which Dagster read last, {cache} does not have the "
        "intact state of: a"
    )


def test_damage_and_absence_are_never_replaced(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    upload(ours, "a", "v1", b"a1", tmp_path)
    loaded(ours, "a", tmp_path)
    upload(ours, "a", "v2", b"a2", tmp_path)
    (base / "a" / "v2").chmod(0o644)
    (base / "a" / "v2").write_bytes(b"a3")
    storage = started(instance, base, offline="last-pinned")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DamagedObjectError):
            loaded(storage, "a", tmp_path)
        with pytest.raises(ValueError, match="No state found for key a and version v3"):
            download(storage, "a", "v3", tmp_path)
        (base / "@defs-state" / "log" / "000000000002.json").write_text("{")
        with pytest.raises((DamagedObjectError, StoreFormatError)):
            started(instance, base, offline="last-pinned").get_latest_defs_state_info()


def test_a_write_is_never_replaced_by_anything(instance: Any, tmp_path: Path) -> None:
    url, options = os.environ["S3_URL"], json.loads(os.environ["S3_OPTIONS"])
    storage = started(instance, url, options=options)
    upload(storage, "a", "v1", b"a1", tmp_path)
    assert loaded(storage, "a", tmp_path) == {"a": b"a1"}
    with closed_port() as endpoint:
        silent = {**options, "endpoint": endpoint, "retry_config": {"max_retries": 0}}
        storage = started(instance, url, options=silent, offline="last-pinned")
        with pytest.warns(RuntimeWarning, match="loads the commit 1"):
            assert loaded(storage, "a", tmp_path) == {"a": b"a1"}
        with pytest.raises(StoreUnavailableError):
            upload(storage, "a", "v2", b"a2", tmp_path)
        with pytest.raises(StoreUnavailableError) as caught:
            started(instance, url, options=silent).get_latest_defs_state_info()
        assert caught.value.hint == (
            "to load what was read last on this machine, set `offline: last-pinned` in the "
            "configuration of defs_state_storage, or DEFS_STATE_OFFLINE=last-pinned"
        )


def test_a_store_that_nobody_serves_is_not_waited_for(instance: Any, tmp_path: Path) -> None:
    url, options = os.environ["S3_URL"], json.loads(os.environ["S3_OPTIONS"])
    keys = "abcdef"
    storage = started(instance, f"{url}/many", options=options)
    for key in keys:
        upload(storage, key, "v1", key.encode(), tmp_path)
    loaded(storage, keys, tmp_path)
    with closed_port() as endpoint:
        silent = {**options, "endpoint": endpoint}
        storage = started(instance, f"{url}/many", options=silent, offline="last-pinned")
        begun = time.monotonic()
        with pytest.warns(RuntimeWarning, match="loads the commit 6"):
            assert loaded(storage, keys, tmp_path) == {key: key.encode() for key in keys}
        assert time.monotonic() - begun < 10


IMPOSSIBLE = (
    '"bundled" is not possible here: which artifact a code location comes from is not known to '
    "Dagster's state storage"
)
UNKNOWN = """expected "fail", "last-pinned" or "bundled", got 'perhaps'"""


@pytest.mark.parametrize(("mode", "reason"), [("bundled", IMPOSSIBLE), ("perhaps", UNKNOWN)])
def test_what_is_not_possible_is_refused(
    instance: Any, base: Path, monkeypatch: pytest.MonkeyPatch, mode: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        started(instance, base, offline=mode)
    assert caught.value.message == f"VersionedDefsStateStorage: config.offline: {reason}"
    monkeypatch.setenv(VARIABLE, mode)
    with pytest.raises(SettingsError) as caught:
        started(instance, base)
    assert caught.value.message == f"environment: {VARIABLE}: {reason}"
    # What is said to builds is not meant for Dagster where its own configuration says otherwise.
    assert started(instance, base, offline="fail").get_latest_defs_state_info() is None


def test_versions_that_dagsters_class_made_current_are_read_beside_those_that_are_kept(
    instance: Any, ours: Any, base: Path, tmp_path: Path
) -> None:
    dagsters = storage_at(DAGSTERS, base, instance)
    upload(dagsters, "a", "v1", b"a1", tmp_path)
    state = tmp_path / "state"
    state.write_bytes(b"b1")
    VersionedStorage(base).push({"b": state})
    assert loaded(ours, "ab", tmp_path) == {"a": b"a1", "b": b"b1"}
    unmounted(base)
    storage = started(instance, base, offline="last-pinned")
    with pytest.warns(RuntimeWarning, match="loads the commit 1"):
        assert loaded(storage, "b", tmp_path) == {"b": b"b1"}
    with pytest.raises(StoreUnavailableError, match="does not have the intact state of: a"):
        download(storage, "a", "v1", tmp_path)
