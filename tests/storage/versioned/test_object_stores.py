"""What every object store has to do, whichever it is."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    SettingsError,
    StateError,
    StorageError,
    StoreRefusedError,
    VersionConflictError,
)
from hatch_defs_state.storage.generation import measure
from hatch_defs_state.storage.versioned import open_store
from hatch_defs_state.storage.versioned.objects import Source, create_once
from hatch_defs_state.storage.versioned.probe import ensure_format, prove_create_if_absent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_defs_state.storage.versioned import ObjectStore
    from tests.support.object_servers import ObjectServer

LARGE = 20 << 20


@pytest.fixture
def store(opened: tuple[str, dict[str, object]]) -> ObjectStore:
    url, options = opened
    return open_store(url, **options)


def source(file: Path, data: bytes) -> Source:
    file.write_bytes(data)
    return Source(file, measure(file))


def test_an_object_is_created_once(store: ObjectStore) -> None:
    store.create("@defs-state/a/b.json", b"one")
    with pytest.raises(ObjectExistsError, match=r"b\.json"):
        store.create("@defs-state/a/b.json", b"two")
    assert store.get("@defs-state/a/b.json") == b"one"


def test_of_many_creators_one_wins(store: ObjectStore) -> None:
    contents = [f"writer {number}".encode() for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda data: create_once(store, "log/1", data), contents))
    assert won.count(True) == 1
    assert store.get("log/1") == contents[won.index(True)]


def test_create_once_knows_its_own_object(store: ObjectStore) -> None:
    assert create_once(store, "x", b"mine")
    assert create_once(store, "x", b"mine")
    assert not create_once(store, "x", b"theirs")


def test_replace_overwrites(store: ObjectStore) -> None:
    store.replace("head", b"1")
    store.replace("head", b"2", durable=False)
    assert store.get("head") == b"2"


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, LARGE])
def test_files_go_up_and_down(store: ObjectStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    content = source(tmp_path / "up", data)
    assert store.put_files({"key/version": content}) == frozenset()
    assert store.put_files({"key/version": content}) == {"key/version"}
    assert store.size("key/version") == size
    assert store.measure("key/version") == content.entry
    assert store.get_to_file("key/version", tmp_path / "down") == content.entry
    assert (tmp_path / "down").read_bytes() == data


def test_many_files_go_up_together(store: ObjectStore, tmp_path: Path) -> None:
    files = {f"key{n % 40}/{n}": source(tmp_path / str(n), b"%d" % n) for n in range(90)}
    store.put_files({path: files[path] for path in list(files)[:5]})
    assert store.put_files(files) == set(list(files)[:5])
    assert {info.path for info in store.list("") if "@" not in info.path} == set(files)
    assert all(store.get(path) == file.file.read_bytes() for path, file in files.items())


@pytest.mark.parametrize("size", [10, LARGE])
def test_other_content_is_never_overwritten(store: ObjectStore, tmp_path: Path, size: int) -> None:
    store.put_files({"k/v": source(tmp_path / "one", b"1" * size)})
    with pytest.raises(VersionConflictError, match="k/v"):
        store.put_files({"k/v": source(tmp_path / "two", b"2" * (size + 1))})
    assert store.size("k/v") == size


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_file_that_changed_does_not_appear(store: ObjectStore, tmp_path: Path, size: int) -> None:
    content = source(tmp_path / "up", b"1" * size)
    content.file.write_bytes(b"2" * size)
    with pytest.raises(StateError, match="changed"):
        store.put_files({"k/v": content})
    assert store.size("k/v") is None


def test_what_is_not_there(store: ObjectStore, tmp_path: Path) -> None:
    assert store.size("k/v") is None
    assert list(store.list("")) == []
    assert list(store.list("nothing")) == []
    store.delete("k/v")
    for read in (store.get, store.measure, lambda path: store.get_to_file(path, tmp_path / "x")):
        with pytest.raises(ObjectNotFoundError, match="k/v"):
            read("k/v")


def test_listing_is_by_folder(store: ObjectStore) -> None:
    for path in ("a/1", "a/b/2", "ab/3", "@defs-state/log/000000000001.json"):
        store.create(path, path.encode())
    assert {info.path: info.size for info in store.list("a")} == {"a/1": 3, "a/b/2": 5}
    assert [info.path for info in store.list("@defs-state/log")] == [
        "@defs-state/log/000000000001.json"
    ]
    store.delete("a/1")
    assert [info.path for info in store.list("a")] == ["a/b/2"]
    assert all(info.modified > 1_700_000_000 for info in store.list(""))


def test_the_proof_leaves_nothing_behind(store: ObjectStore) -> None:
    prove_create_if_absent(store)
    assert list(store.list("")) == []


def test_first_openers_agree_on_the_lineage(store: ObjectStore) -> None:
    with ThreadPoolExecutor(6) as pool:
        formats = set(pool.map(lambda _: ensure_format(store), range(6)))
    assert formats == {ensure_format(store)}


def test_a_store_that_ignores_preconditions_is_refused(careless: ObjectServer) -> None:
    store = open_store(careless.new_url(), **careless.options)
    with pytest.raises(StoreRefusedError, match="only if they are absent"):
        ensure_format(store)
    assert list(store.list("")) == []


def test_a_file_system_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreRefusedError, match="hard links"):
        ensure_format(open_store(tmp_path / "store"))


def test_paths_cannot_leave_a_local_store(tmp_path: Path) -> None:
    for path in ("../x", "a/../../x", "/etc/passwd", "a//b", ""):
        with pytest.raises(StorageError, match="cannot be the path"):
            open_store(tmp_path / "store").create(path, b"")


@pytest.mark.parametrize(
    ("url", "message"),
    [("ftp://x/y", "ftp:// is not a kind"), ("s3://", "cannot be opened")],
)
def test_unusable_urls(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_store(url)


def test_a_local_store_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="takes no option 'region'"):
        open_store(tmp_path, region="x")


def test_file_urls_name_folders(tmp_path: Path) -> None:
    assert open_store((tmp_path / "a b").as_uri()).url == (tmp_path / "a b").as_posix()


def test_without_obstore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(SettingsError, match=r"hatch-defs-state\[object-storage\]"):
        open_store("s3://bucket/base")


def test_access_that_is_refused_is_said_to_be(
    new_store: Callable[[str], tuple[str, dict[str, object]]],
) -> None:
    from hatch_defs_state.errors import StoreAccessError

    url, options = new_store("azure")
    with pytest.raises(StoreAccessError, match="access was refused") as caught:
        open_store(url, **{**options, "account_key": "d3Jvbmc="}).get("x")
    assert "d3Jvbmc" not in str(caught.value)
