"""The cache of the reading side: shared, bounded, checked, and never in the way."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.errors import DamagedObjectError, SettingsError, StateError
from hatch_defs_state.location import eviction, holds, soundness
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.counting_store import CountingStore
from tests.support.forks import fork

if TYPE_CHECKING:
    from collections.abc import Iterator


class Store:
    """A storage that tells what was downloaded from it, and its states."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = CountingStore(folder / "store")
        self.objects.downloads = []
        self.storage = VersionedStorage("", store=self.objects)

    def push(self, **states: str | dict[str, str]) -> dict[str, str]:
        """Push states, files or folders of files, and return the current versions."""
        paths = {}
        for key, content in states.items():
            path = self.folder / "states" / key
            shutil.rmtree(path, ignore_errors=True)
            for name, text in ({"state": content} if isinstance(content, str) else content).items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_text(text, "utf-8")
            paths[key] = path
        return {key: one.version for key, one in self.storage.push(paths).versions.items()}

    def downloads(self) -> int:
        """Return how many contents were downloaded since the last call."""
        count = len(self.objects.downloads)
        self.objects.downloads.clear()
        return count


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Forget what was checked: as a process does that has just started."""
    soundness._verified.clear()
    yield
    soundness._verified.clear()


def texts(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text("utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_version_is_a_folder_named_after_its_key_with_read_only_files(store: Store) -> None:
    versions = store.push(**{"a/b": {"state": "1", "project/target/manifest.json": "{}"}})
    with VersionCache() as cache:
        folder = cache.get(store.storage, "a/b", versions["a/b"])
        assert folder.name == "a__b"
        assert texts(folder) == {"project/target/manifest.json": "{}", "state": "1"}
        assert (folder / "state").stat().st_mode & 0o777 == 0o444


def test_only_what_changed_is_downloaded(store: Store) -> None:
    first = store.push(many={f"state/{n}": str(n) for n in range(20)}, one="x", other="y")
    with VersionCache() as cache:
        cache.get_all(store.storage, first)
        assert store.downloads() == 22
        cache.get_all(store.storage, first)
        assert store.downloads() == 0
        files = {f"state/{n}": str(n) for n in range(20)} | {"state/3": "new"}
        second = store.push(many=files)
        assert texts(cache.get_all(store.storage, second)["many"]) == files
        assert store.downloads() == 1


def test_processes_share_what_one_has_downloaded(store: Store, cache: Path) -> None:
    versions = store.push(k="x")
    with VersionCache() as mine:
        here = mine.get(store.storage, "k", versions["k"])
    store.downloads()
    script = (
        "import sys; from hatch_defs_state.location.version_cache import VersionCache; "
        "from hatch_defs_state.storage.versioned import VersionedStorage; "
        "print(VersionCache().get(VersionedStorage(sys.argv[1]), 'k', sys.argv[2]))"
    )
    # Nothing is left to download from.
    shutil.move(store.folder / "store", store.folder / "away")
    arguments = [sys.executable, "-c", script, str(store.folder / "store"), versions["k"]]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(here)
    assert here.is_relative_to(cache)


def test_many_processes_that_start_together_download_once(store: Store) -> None:
    versions = store.push(**{f"k{n}": str(n) for n in range(8)})
    script = (
        "import sys, json; from hatch_defs_state.location.version_cache import VersionCache; "
        "from hatch_defs_state.storage.versioned import VersionedStorage; "
        "from tests.support.counting_store import CountingStore; "
        "objects = CountingStore(__import__('pathlib').Path(sys.argv[1])); objects.downloads = []; "
        "storage = VersionedStorage('', store=objects); input(); "
        "found = VersionCache().get_all(storage, json.loads(sys.argv[2])); "
        "print(len(objects.downloads), *[(f / 'state').read_text() for f in found.values()])"
    )
    arguments = [sys.executable, "-c", script, str(store.folder / "store"), json.dumps(versions)]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
        )
        for _ in range(3)
    ]
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        outputs.append(output.split())
    assert [words[1:] for words in outputs] == [[str(n) for n in range(8)]] * 3
    assert sum(int(words[0]) for words in outputs) == 8


@pytest.mark.parametrize("touched", [True, False])
@pytest.mark.parametrize("damage", ["altered", "truncated", "removed", "a folder", "manifest"])
def test_damage_in_the_cache_is_found_and_mended(
    store: Store, damage: str, touched: bool, caplog: pytest.LogCaptureFixture
) -> None:
    versions = store.push(k={"state/a": "first", "state/b": "second"})
    with VersionCache() as cache:
        folder = cache.get(store.storage, "k", versions["k"])
    if not touched:
        soundness._verified.clear()
    file = folder / "state" / "a"
    if damage == "manifest":
        (folder.parent / "manifest.json").write_text("{}")
    elif damage in {"removed", "a folder"}:
        file.unlink()
        if damage == "a folder":
            file.mkdir()
    else:
        before = file.stat()
        file.chmod(0o644)
        file.write_text("f1rst" if damage == "altered" else "fi")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with VersionCache() as cache, caplog.at_level(logging.WARNING):
        mended = cache.get(store.storage, "k", versions["k"])
        assert texts(mended) == {"state/a": "first", "state/b": "second"}
    assert mended == folder
    assert f"the copy of version {versions['k']} of k in" in caplog.text


def test_damage_in_the_store_is_an_error_and_leaves_nothing_behind(
    store: Store, cache: Path
) -> None:
    versions = store.push(k={"state/a": "first", "state/b": "second"})
    (file,) = [
        f
        for f in (store.folder / "store/@defs-state/files").rglob("*")
        if f.is_file() and f.read_text() == "first"
    ]
    file.chmod(0o644)
    file.write_text("f1rst")
    with VersionCache() as mine, pytest.raises(DamagedObjectError, match="state/a of version"):
        mine.get(store.storage, "k", versions["k"])
    assert not (cache / "states").exists()


def test_what_tools_leave_beside_the_files_is_left_alone(store: Store) -> None:
    versions = store.push(k={"state": "", "project/models.sql": "select 1"})
    with VersionCache() as cache:
        folder = cache.get(store.storage, "k", versions["k"])
        (folder / "project" / "target").mkdir()
        (folder / "project" / "target" / "run_results.json").write_text("{}")
        store.downloads()
        assert cache.get(store.storage, "k", versions["k"]) == folder
        assert store.downloads() == 0
        assert (folder / "project" / "target" / "run_results.json").exists()


def test_the_longest_unused_goes_first_and_what_is_held_stays(store: Store, cache: Path) -> None:
    size = 1000
    versions = store.push(**{name: name[0] * size for name in ("held", "old", "used", "new")})
    holder = VersionCache()
    held = holder.get(store.storage, "held", versions["held"])
    with VersionCache() as mine:
        paths = mine.get_all(store.storage, {k: versions[k] for k in ("old", "used")})
    for age, path in enumerate([paths["used"], paths["old"], held]):
        os.utime(path.parent, (time.time() - 100 * (age + 1),) * 2)
    # Besides the states there are their manifests, of some 300 bytes each.
    with VersionCache(limit=3 * (size + 500)) as mine:
        mine.get(store.storage, "new", versions["new"])
    assert held.exists()
    assert paths["used"].exists()
    assert not paths["old"].exists()
    assert sum(f.stat().st_size for f in (cache / "files").rglob("*") if f.is_file()) == 3 * size
    holder.close()
    VersionCache(limit=0).trim()
    assert [f for f in cache.rglob("*") if f.is_file() and f.name != "lock"] == [
        *(cache / "work").glob("*.lock")
    ]


def test_what_a_process_holds_is_held_by_its_forks_after_it_let_go(store: Store) -> None:
    versions = store.push(k="x")
    cache = VersionCache()
    folder = cache.get(store.storage, "k", versions["k"])
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    cache.close()
    VersionCache(limit=0).trim()
    assert folder.exists()
    os.close(writer)
    os.waitpid(child, 0)
    VersionCache(limit=0).trim()
    assert not folder.exists()


def test_what_a_killed_process_held_may_go(store: Store) -> None:
    versions = store.push(k="x")
    script = (
        "import sys; from hatch_defs_state.location.version_cache import VersionCache; "
        "from hatch_defs_state.storage.versioned import VersionedStorage; "
        "cache = VersionCache(); "
        "print(cache.get(VersionedStorage(sys.argv[1]), 'k', sys.argv[2]), flush=True); input()"
    )
    arguments = [sys.executable, "-c", script, str(store.folder / "store"), versions["k"]]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        VersionCache(limit=0).trim()
        assert folder.exists()
        process.kill()
    VersionCache(limit=0).trim()
    assert not folder.exists()


def test_readers_and_the_removal_of_the_cache_at_any_moment(store: Store, cache: Path) -> None:
    versions = store.push(**{f"k{n}": {"state/a": str(n), "state/b": "same"} for n in range(5)})
    errors: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                with VersionCache() as mine:
                    mine.get_all(store.storage, versions)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        time.sleep(0.02)
        shutil.rmtree(cache, ignore_errors=True)
    ended.set()
    for thread in threads:
        thread.join()
    assert errors == []
    with VersionCache() as mine:
        folders = mine.get_all(store.storage, versions)
        assert [(folders[f"k{n}"] / "state/a").read_text() for n in range(5)] == list("01234")


def test_readers_and_eviction_at_the_same_time(store: Store) -> None:
    versions = store.push(**{f"k{n}": {"state/a": str(n), "state/b": "same"} for n in range(6)})
    errors: list[object] = []

    def read(offset: int) -> None:
        try:
            for turn in range(15):
                key = f"k{(turn + offset) % 6}"
                with VersionCache(limit=0) as mine:
                    folder = mine.get(store.storage, key, versions[key])
                    if texts(folder) != {"state/a": key[1], "state/b": "same"}:
                        errors.append(texts(folder))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_without_hard_links_copies_are_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    versions = store.push(k={"state/a": "first", "state/b": "second"})
    with monkeypatch.context() as patch:
        patch.setattr("hatch_defs_state.location.entries.os.link", refuse)
        with VersionCache(limit=400) as cache:
            folder = cache.get(store.storage, "k", versions["k"])
            assert texts(folder) == {"state/a": "first", "state/b": "second"}
            assert (folder / "state/a").stat().st_mode & 0o777 == 0o444


def test_where_files_cannot_be_locked_an_open_hold_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "is open in another process", str(path))

    monkeypatch.setattr(holds, "fcntl", None)
    hold = holds.Hold(tmp_path / "holds")
    hold.add(["one", "two"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert sorted(holds.held(tmp_path / "holds")) == ["one", "two"]
    hold.release()
    assert list(holds.held(tmp_path / "holds")) == []


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("5 gb", 5_000_000_000), ("100", 100)]
)
def test_the_size_of_the_cache_is_a_setting(
    text: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFS_STATE_CACHE_SIZE", text)
    assert eviction.limit_of_environment() == size


def test_a_size_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFS_STATE_CACHE_SIZE", "lots")
    with pytest.raises(SettingsError) as caught:
        VersionCache()
    assert str(caught.value) == (
        'environment: DEFS_STATE_CACHE_SIZE: expected a size such as "500MB" or "5GB", got \'lots\''
    )


def test_a_full_disk_is_an_error_that_says_so(
    store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    versions = store.push(k="x")
    monkeypatch.setattr("hatch_defs_state.location.entries.os.link", full)
    monkeypatch.setattr("hatch_defs_state.location.entries.shutil.copyfile", full)
    with VersionCache() as mine, pytest.raises(StateError) as caught:
        mine.get(store.storage, "k", versions["k"])
    assert str(caught.value) == (
        f"the cache {cache} cannot be used: No space left on device\n"
        "  hint: make room there, or set DEFS_STATE_CACHE_DIR to another folder"
    )
