"""What Dagster's interface for state storages promises, of Dagster's own class and of ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from dagster import DagsterInstance
from dagster_shared.serdes.objects.models.defs_state_info import DefsStateInfo
from dagster_shared.serdes.serdes import deserialize_value, serialize_value

from tests.inside_dagster.storages import DAGSTERS, OURS, download, storage_at, upload, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[DAGSTERS, OURS], ids=["dagsters", "ours"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with DagsterInstance.ephemeral() as instance:
        yield storage_at(request.param, tmp_path / "base", instance)


def test_nothing_is_known_at_first(storage: Any) -> None:
    assert storage.get_latest_version("k") is None
    assert storage.get_latest_defs_state_info() is None
    assert storage.list_state_keys_with_prefix("") == []


def test_an_upload_makes_its_version_current(storage: Any, tmp_path: Path) -> None:
    upload(storage, "a", "v1", b"1", tmp_path)
    upload(storage, "b", "v1", b"2", tmp_path)
    upload(storage, "a", "v2", b"3", tmp_path)
    assert storage.get_latest_version("a") == "v2"
    assert storage.get_latest_version("c") is None
    assert versions(storage) == {"a": "v2", "b": "v1"}


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 5000])
def test_every_version_can_be_downloaded_over_what_is_there(
    storage: Any, tmp_path: Path, content: bytes
) -> None:
    upload(storage, "a", "v1", content, tmp_path)
    upload(storage, "a", "v2", b"other", tmp_path)
    assert download(storage, "a", "v2", tmp_path) == b"other"
    assert download(storage, "a", "v1", tmp_path) == content


@pytest.mark.parametrize("key", ["k", "Some[xyz://foo.bar.baz@&*//xy]", "über/ключ", "K.k-k_k"])
def test_keys_may_have_any_characters(storage: Any, tmp_path: Path, key: str) -> None:
    upload(storage, key, "v1", b"1", tmp_path)
    assert storage.get_latest_version(key) == "v1"
    assert storage.list_state_keys_with_prefix(key[:1]) == [key]
    assert download(storage, key, "v1", tmp_path) == b"1"


def test_an_older_version_can_be_made_current_again(storage: Any, tmp_path: Path) -> None:
    upload(storage, "a", "v1", b"1", tmp_path)
    upload(storage, "a", "v2", b"2", tmp_path)
    storage.set_latest_version("a", "v1")
    assert versions(storage) == {"a": "v1"}
    assert download(storage, "a", "v2", tmp_path) == b"2"


def test_a_version_can_be_made_current_without_content(storage: Any, tmp_path: Path) -> None:
    storage.set_latest_version("a", "v1")
    assert versions(storage) == {"a": "v1"}
    with pytest.raises(ValueError, match="No state found for key a and version v1"):
        download(storage, "a", "v1", tmp_path)
    upload(storage, "a", "v1", b"1", tmp_path)
    assert download(storage, "a", "v1", tmp_path) == b"1"


def test_no_version_removes_a_key_and_keeps_its_content(storage: Any, tmp_path: Path) -> None:
    upload(storage, "x/a", "v1", b"1", tmp_path)
    upload(storage, "x/b", "v1", b"2", tmp_path)
    for _ in range(2):
        storage.set_latest_version("x/a", None)
        assert storage.get_latest_version("x/a") is None
        assert storage.list_state_keys_with_prefix("x/") == ["x/b"]
        assert versions(storage) == {"x/b": "v1"}
    assert download(storage, "x/a", "v1", tmp_path) == b"1"
    upload(storage, "x/a", "v2", b"3", tmp_path)
    assert versions(storage) == {"x/a": "v2", "x/b": "v1"}


def test_removing_a_key_that_never_was_changes_nothing(storage: Any) -> None:
    storage.set_latest_version("a", None)
    assert storage.get_latest_version("a") is None
    assert versions(storage) == {}


def test_keys_are_listed_by_prefix_in_their_order(storage: Any, tmp_path: Path) -> None:
    keys = ["app[x]/1", "app[x]/2", "app[xy]/1", "other"]
    for key in reversed(keys):
        upload(storage, key, "v1", b"1", tmp_path)
    assert storage.list_state_keys_with_prefix("app[x]/") == ["app[x]/1", "app[x]/2"]
    assert storage.list_state_keys_with_prefix("") == keys
    assert storage.list_state_keys_with_prefix("none") == []


def test_an_unknown_version_is_a_value_error(storage: Any, tmp_path: Path) -> None:
    upload(storage, "a", "v1", b"1", tmp_path)
    for key, version in (("a", "v2"), ("b", "v1")):
        with pytest.raises(ValueError, match=f"No state found for key {key} and version {version}"):
            download(storage, key, version, tmp_path)
    assert not (tmp_path / "downloaded").exists()


def test_paths_that_are_not_there_are_named(storage: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        storage.upload_state_from_path("a", "v1", tmp_path / "absent")
    assert versions(storage) is None
    upload(storage, "a", "v1", b"1", tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        storage.download_state_to_path("a", "v1", tmp_path / "absent" / "state")


def test_the_info_says_since_when_and_how_each_state_is_kept(storage: Any, tmp_path: Path) -> None:
    before = time.time()
    upload(storage, "versioned", "v1", b"1", tmp_path)
    storage.set_latest_version("local", "__local__")
    storage.set_latest_version("snapshot", "__code_server__")
    after = time.time()
    info = storage.get_latest_defs_state_info()
    assert {key: value.management_type.value for key, value in info.info_mapping.items()} == {
        "versioned": "VERSIONED_STATE_STORAGE",
        "local": "LOCAL_FILESYSTEM",
        "snapshot": "LEGACY_CODE_SERVER_SNAPSHOTS",
    }
    stamps = [value.create_timestamp for value in info.info_mapping.values()]
    assert all(before - 0.001 <= stamp <= after + 0.001 for stamp in stamps)
    upload(storage, "other", "v1", b"1", tmp_path)
    again = storage.get_latest_defs_state_info().info_mapping
    assert again["versioned"] == info.info_mapping["versioned"]


def test_the_info_travels_to_other_processes(storage: Any, tmp_path: Path) -> None:
    upload(storage, "a/b", "v1", b"1", tmp_path)
    info = storage.get_latest_defs_state_info()
    assert deserialize_value(serialize_value(info), DefsStateInfo) == info
    assert info.for_keys({"a/b"}) == info
    assert info.get_version("a/b") == "v1"


def test_another_object_sees_what_was_written(storage: Any, tmp_path: Path) -> None:
    upload(storage, "a", "v1", b"1", tmp_path)
    kind = OURS if type(storage).__name__ == OURS[1] else DAGSTERS
    other = storage_at(kind, tmp_path / "base", storage._instance)
    assert other.get_latest_version("a") == "v1"
    assert download(other, "a", "v1", tmp_path) == b"1"
