"""A store that does not answer is an error, unless something else may be loaded: loudly."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import socket
import sys
import time
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state import CodeLocation
from hatch_defs_state.errors import (
    DamagedObjectError,
    DefsStateError,
    ManifestError,
    StoreAccessError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from hatch_defs_state.location import lease_keeper
from hatch_defs_state.location.version_cache import VersionCache
from hatch_defs_state.storage.manifest import Pinned
from hatch_defs_state.storage.versioned import VersionedStorage, read_pins
from hatch_defs_state.storage.versioned.gc import collect
from hatch_defs_state.storage.versioned.local import LocalStore
from hatch_defs_state.storage.versioned.retention import Retention
from tests.support.commands import HATCHLING, base_environment, run_checked
from tests.support.counting_store import CountingStore
from tests.support.forks import fork
from tests.support.locations import VERSIONED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.locations import Located
    from tests.support.object_servers import ObjectServer

    Make = Callable[..., Located]


class Wire(LocalStore):
    """A store on the local disk, behind a wire that can be cut."""

    cut = False

    def _reach(self) -> None:
        if self.cut:
            raise StoreUnavailableError(f"{self.url} does not answer")

    def get(self, path: str) -> bytes:
        self._reach()
        return super().get(path)

    def stream(self, path: str) -> Any:
        self._reach()
        return super().stream(path)

    def list(self, prefix: str) -> Any:
        self._reach()
        return super().list(prefix)

    def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._reach()
        super().replace(path, data, durable=durable)

    def delete(self, path: str) -> None:
        self._reach()
        super().delete(path)


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path / "store")


@pytest.fixture
def project(make: Make) -> Located:
    made = make(a=VERSIONED, b=VERSIONED)
    made.push(a="a1", b="b1")
    return made


def storage(store: LocalStore) -> VersionedStorage:
    return VersionedStorage("", store=store)


def test_a_store_that_does_not_answer_is_an_error(project: Located, wire: Wire) -> None:
    CodeLocation(project.module, store=storage(wire)).close()
    wire.cut = True
    with pytest.raises(StoreUnavailableError) as caught:
        CodeLocation(project.module, store=storage(wire))
    assert str(caught.value) == (
        f"{wire.url} does not answer\n"
        '  hint: to start without the store, set `offline` to "last-pinned" or "bundled"'
    )


def test_the_last_pinned_commit_is_loaded_where_that_is_allowed_and_said(
    project: Located, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with CodeLocation(project.module, store=storage(wire)) as location:
        versions = dict(location.versions)
    project.push(a="a2")
    wire.cut = True
    with caplog.at_level(logging.WARNING), pytest.warns(RuntimeWarning) as warned:
        location = CodeLocation(project.module, store=storage(wire), offline="last-pinned")
    assert location.merged == {"a": "a1", "b": "b1"}
    assert (location.serial, dict(location.versions)) == (1, versions)
    message = (
        f"{wire.url} does not answer; {project.module} loads the commit 1, which it read last, "
    )
    assert [str(w.message)[: len(message)] for w in warned] == [message]
    assert str(warned[0].message).endswith(" s old")
    assert caplog.messages == [str(warned[0].message)]

    # A reload asks the store again; while that is silent, everything stays.
    with pytest.raises(StoreUnavailableError) as caught:
        location.reload()
    assert caught.value.hint == "what was loaded before stays in use"
    assert location.merged == {"a": "a1", "b": "b1"}
    wire.cut = False
    location.reload()
    assert location.merged == {"a": "a2", "b": "b1"}
    location.close()


def test_a_store_that_answers_is_read_whatever_was_pinned_last(
    project: Located, wire: Wire
) -> None:
    CodeLocation(project.module, store=storage(wire)).close()
    project.push(a="a2")
    with CodeLocation(project.module, store=storage(wire), offline="last-pinned") as location:
        assert location.merged == {"a": "a2", "b": "b1"}


def test_nothing_was_pinned_before(project: Located, wire: Wire, cache: Path) -> None:
    wire.cut = True
    with pytest.raises(StoreUnavailableError) as caught:
        CodeLocation(project.module, store=storage(wire), offline="last-pinned")
    assert str(caught.value) == (
        f"{wire.url} does not answer; and {project.module} has read nothing from there before "
        f"that {cache} would know of"
    )


@pytest.mark.parametrize("damage", ["altered", "removed"])
def test_what_was_pinned_last_is_not_loaded_when_it_is_damaged(
    project: Located, wire: Wire, cache: Path, damage: str
) -> None:
    CodeLocation(project.module, store=storage(wire)).close()
    for file in cache.rglob("state"):
        if file.read_text() == "b1":
            file.chmod(0o644)
            file.write_text("b2") if damage == "altered" else file.unlink()
    wire.cut = True
    with pytest.raises(StoreUnavailableError) as caught:
        CodeLocation(project.module, store=storage(wire), offline="last-pinned")
    assert str(caught.value) == (
        f"{wire.url} does not answer; and of the commit 1, which {project.module} read last, "
        f"{cache} does not have the intact state of: b"
    )


def test_a_folder_that_is_not_there_any_more_does_not_answer(project: Located) -> None:
    with CodeLocation(project.module, store=project.storage) as location:
        shutil.move(project.folder / "store", project.folder / "not mounted")
        url = project.storage.url
        with pytest.raises(StoreUnavailableError, match=f"there is no folder {url}"):
            location.reload()
    with pytest.raises(StoreUnavailableError, match=f"there is no folder {url}"):
        CodeLocation(project.module, store=project.storage, allow_missing="*")
    with pytest.warns(RuntimeWarning, match=f"there is no folder {url}; .* loads the commit 1"):
        location = CodeLocation(project.module, store=project.storage, offline="last-pinned")
    assert location.merged == {"a": "a1", "b": "b1"}
    assert not (project.folder / "store").exists()


def test_pins_do_not_make_the_folder_of_a_store_that_is_not_there(project: Located) -> None:
    with CodeLocation(project.module, store=project.storage) as location:
        pins = location.pins
    store = project.folder / "store"
    shutil.move(store, project.folder / "not mounted")
    with CodeLocation(project.module, store=project.storage, pins=pins) as other:
        assert other.merged == {"a": "a1", "b": "b1"}
    # An empty folder there would be taken for a store without any commit.
    assert not store.exists()


def test_damage_in_the_store_is_never_replaced_by_what_is_at_hand(
    project: Located, wire: Wire
) -> None:
    CodeLocation(project.module, store=storage(wire)).close()
    version = project.push(a="a2")["a"]
    (project.folder / "store" / "a" / version).write_text("a3")
    with pytest.raises(DamagedObjectError):
        CodeLocation(project.module, store=storage(wire), offline="last-pinned")


def test_versions_that_were_pinned_last_are_evicted_last(
    make: Make, wire: Wire, cache: Path
) -> None:
    project = make(a=VERSIONED)
    project.push(a="a" * 1000)
    with CodeLocation(project.module, store=storage(wire)):
        pass
    project.push(a="b" * 1000)
    with CodeLocation(project.module, store=storage(wire)):
        pass
    for path in (cache / "states").iterdir():
        if (path / "a" / "state").read_text()[0] == "b":
            os.utime(path, (1, 1))
    VersionCache(limit=1500).trim()
    wire.cut = True
    with pytest.warns(RuntimeWarning):
        location = CodeLocation(project.module, store=storage(wire), offline="last-pinned")
    assert location.merged == {"a": "b" * 1000}
    location.close()


class TestBundled:
    @pytest.fixture
    def image(self, project: Located) -> Located:
        """An installed package that carries the versions of commit 1."""
        versions = {key: one.version for key, one in project.storage.head().versions.items()}
        project.publish_to(
            project.state,
            {},
            bundled={"a": (versions["a"], "a1"), "b": (versions["b"], "b1")},
            pinned=Pinned(project.storage.url, project.storage.head().lineage, 1),
            settings={"offline": "bundled"},
        )
        project.install()
        return project

    def test_versions_are_loaded_when_the_store_does_not_answer(
        self, image: Located, wire: Wire, cache: Path
    ) -> None:
        image.push(a="a2")
        wire.cut = True
        with pytest.warns(RuntimeWarning) as warned:
            location = CodeLocation(image.module, store=storage(wire))
        assert location.merged == {"a": "a1", "b": "b1"}
        assert location.serial == 1
        assert [str(one.message).partition("; ")[2] for one in warned] == [
            f"{image.module} loads the commit 1, which its artifact carries"
        ]
        assert not (cache / "states").exists()
        # The same elsewhere, without the store.
        with CodeLocation(image.module, store=storage(wire), pins=location.pins) as other:
            assert other.merged == location.merged
        wire.cut = False
        location.reload()
        assert location.merged == {"a": "a2", "b": "b1"}
        location.close()

    def test_the_store_that_the_build_has_pinned_is_asked_first(self, image: Located) -> None:
        image.push(a="a2")
        with CodeLocation(image.module) as location:
            assert location.merged == {"a": "a2", "b": "b1"}

    def test_versions_are_loaded_where_the_folder_of_the_store_is_not_mounted(
        self, image: Located
    ) -> None:
        shutil.move(image.folder / "store", image.folder / "not mounted")
        with pytest.warns(RuntimeWarning, match="loads the commit 1, which its artifact carries"):
            location = CodeLocation(image.module)
        assert location.merged == {"a": "a1", "b": "b1"}

    def test_versions_that_were_altered_are_an_error(self, image: Located, wire: Wire) -> None:
        state = image.folder / "site-packages" / image.package / "defs" / ".local_defs_state"
        (state / "@versions" / "a" / "state").write_text("a3")
        wire.cut = True
        with pytest.raises(DefsStateError, match="@versions/a/state differs from the manifest"):
            CodeLocation(image.module, store=storage(wire))

    def test_content_under_the_name_of_another_version_is_an_error(
        self, project: Located, wire: Wire
    ) -> None:
        versions = {key: one.version for key, one in project.storage.head().versions.items()}
        pinned = Pinned(project.storage.url, project.storage.head().lineage, 1)
        settings = {"offline": "bundled"}
        project.publish_to(project.state, {}, {"a": (versions["a"], "a3")}, pinned, settings)
        project.install()
        wire.cut = True
        with pytest.raises(ManifestError) as caught:
            CodeLocation(project.module, store=storage(wire))
        assert str(caught.value) == (
            "[a] the content in .local_defs_state/@versions/a is not that of the version "
            f"{versions['a']} that manifest.json names\n  hint: build the artifact anew"
        )

    def test_an_artifact_without_versions_says_how_to_build_one(
        self, project: Located, wire: Wire
    ) -> None:
        wire.cut = True
        with pytest.raises(StoreUnavailableError) as caught:
            CodeLocation(project.module, store=storage(wire), offline="bundled")
        assert str(caught.value) == (
            f"{wire.url} does not answer; and {project.module} carries no versions that could be "
            'loaded instead\n  hint: build it with `pin-versioned = true` and `offline = "bundled"`'
        )


def test_a_wheel_that_carries_its_versions_loads_without_its_store(
    make: Make, s3: ObjectServer, tmp_path: Path
) -> None:
    project = make(a=VERSIONED)
    url = s3.new_url()
    project.push(VersionedStorage(url, options=s3.options), a="a1")
    toml = (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{project.package}"\nversion = "1"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["src/{project.package}"]\n'
        "[tool.hatch.build.hooks.defs-state]\n"
        f'store = "{url}"\npin-versioned = true\noffline = "bundled"\n'
    )
    (project.root / "pyproject.toml").write_text(toml, "utf-8")
    reachable = base_environment() | {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    run_checked([HATCHLING, "build", "-t", "wheel"], cwd=project.root, env=reachable)
    (wheel,) = (project.root / "dist").iterdir()
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = (
        "from hatch_defs_state import CodeLocation\n"
        f"with CodeLocation({project.module!r}) as location:\n"
        "    print(location.merged, location.serial)\n"
    )

    silent = reachable | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PYTHONPATH": str(site)}
    loaded = run_checked([sys.executable, "-c", script], cwd=tmp_path, env=silent)
    assert loaded.stdout == "{'a': 'a1'} 1\n"
    assert "loads the commit 1, which its artifact carries" in loaded.stderr


class TestLeases:
    def test_name_the_versions_of_the_load_and_end_with_it(self, project: Located) -> None:
        location = CodeLocation(project.module, store=project.storage)
        (pin,) = read_pins(project.storage.store)
        assert pin.versions == {key: (v,) for key, v in location.versions.items()}
        assert pin.expires is not None
        assert 800 < pin.expires - time.time() <= 900
        project.push(a="a2")
        location.reload()
        (other,) = read_pins(project.storage.store)
        assert other.name != pin.name
        assert other.versions == {key: (v,) for key, v in location.versions.items()}
        location.close()
        assert list(read_pins(project.storage.store)) == []

    def test_end_with_a_location_that_nobody_uses_any_more(self, project: Located) -> None:
        def use() -> int | None:
            return CodeLocation(project.module, store=project.storage).serial

        assert use() == 1
        gc.collect()
        assert list(read_pins(project.storage.store)) == []

    def test_are_renewed_while_the_location_lives(
        self, project: Located, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease_keeper, "LEASE_SECONDS", 0.6)
        with CodeLocation(project.module, store=project.storage):
            (first,) = read_pins(project.storage.store)
            deadline = time.monotonic() + 10
            pin = first
            while (pin.expires or 0) < (first.expires or 0) + 0.5 and time.monotonic() < deadline:
                time.sleep(0.1)
                (pin,) = read_pins(project.storage.store)
            assert (pin.expires or 0) >= (first.expires or 0) + 0.5
            assert pin.is_live(time.time())

    def test_keep_clean_up_away_from_what_other_processes_of_the_load_will_read(
        self, project: Located, cache: Path
    ) -> None:
        everything = Retention(keep_commits=1, keep_age=0, grace=0)
        location = CodeLocation(project.module, store=project.storage)
        old = location.versions["a"]
        project.push(a="a2")
        collect(project.storage, everything)
        shutil.rmtree(cache)
        with CodeLocation(project.module, store=project.storage, pins=location.pins) as other:
            assert other.merged == {"a": "a1", "b": "b1"}
        location.close()
        assert f"a/{old}" in {unit.name for unit in collect(project.storage, everything).removed}
        shutil.rmtree(cache)
        with pytest.raises(VersionNotFoundError):
            CodeLocation(project.module, store=project.storage, pins=location.pins)

    def test_that_may_not_be_written_are_a_warning(self, project: Located) -> None:
        class ReadOnly(LocalStore):
            def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
                raise StoreAccessError(f"{path}: access was refused")

        store = ReadOnly(project.folder / "store")
        with pytest.warns(RuntimeWarning, match="cannot be protected from clean-up"):
            location = CodeLocation(project.module, store=storage(store))
        assert location.merged == {"a": "a1", "b": "b1"}
        location.close()

    def test_a_version_that_is_cleaned_up_before_it_is_leased_is_read_anew(
        self, project: Located
    ) -> None:
        class Cleaned(LocalStore):
            """Another process pushes and cleans up between the head and the lease."""

            done = False

            def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:
                if not self.done:
                    self.done = True
                    version = project.storage.head().version_of("a")
                    project.push(a="a2")
                    (project.folder / "store" / "a" / str(version)).unlink()
                super().replace(path, data, durable=durable)

        with CodeLocation(
            project.module, store=storage(Cleaned(project.folder / "store"))
        ) as location:
            assert location.merged == {"a": "a2", "b": "b1"}
            assert location.serial == 2
            assert len(list(read_pins(project.storage.store))) == 1


class TestS3:
    def test_a_location_reads_a_commit_reloads_and_starts_without_the_store(
        self, make: Make, s3: ObjectServer
    ) -> None:
        project = make(a=VERSIONED, b=VERSIONED)
        url = s3.new_url()
        s3_storage = VersionedStorage(url, options=s3.options)
        project.push(s3_storage, a="a1", b="b1")
        location = CodeLocation(project.module, store=s3_storage)
        assert location.merged == {"a": "a1", "b": "b1"}
        project.push(s3_storage, a="a2")
        assert location.merged == {"a": "a1", "b": "b1"}
        location.reload()
        assert location.merged == {"a": "a2", "b": "b1"}
        assert len(list(read_pins(s3_storage.store))) == 1
        location.close()
        assert list(read_pins(s3_storage.store)) == []

        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            options = {
                **s3.through(f"http://127.0.0.1:{closed.getsockname()[1]}"),
                "retry_config": {"max_retries": 0},
            }
            silent = VersionedStorage(url, options=options)
            with pytest.raises(StoreUnavailableError):
                CodeLocation(project.module, store=silent)
            with pytest.warns(RuntimeWarning, match="loads the commit 2, which it read last"):
                location = CodeLocation(project.module, store=silent, offline="last-pinned")
        assert location.merged == {"a": "a2", "b": "b1"}
        location.close()

    def test_a_fork_says_that_it_cannot_ask_the_store(self, make: Make, s3: ObjectServer) -> None:
        project = make(a=VERSIONED)
        s3_storage = VersionedStorage(s3.new_url(), options=s3.options)
        project.push(s3_storage, a="a1")
        location = CodeLocation(project.module, store=s3_storage)
        told, tell = os.pipe()
        child = fork()
        if child == 0:
            try:
                location.reload()
                os.write(tell, b"reloaded")
            except DefsStateError as error:
                os.write(tell, json.dumps([str(error), location.merged]).encode())
            location.close()
            os._exit(0)
        message, merged = json.loads(os.read(told, 100_000))
        os.waitpid(child, 0)
        assert "cannot be reached from a fork of the process that used it before" in message
        assert merged == {"a": "a1"}
        location.close()


def test_a_reload_downloads_what_changed_and_nothing_else(make: Make, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(50)]
    project = make(**dict.fromkeys(keys, VERSIONED))
    contents = {key: f"{key} 1" for key in keys}
    project.push(None, **contents)
    store = CountingStore(tmp_path / "store")
    store.downloads = []
    with CodeLocation(project.module, store=storage(store)) as location:
        assert len(store.downloads) == 50
        version = project.push(k7="k7 2")["k7"]
        store.downloads.clear()
        location.reload()
        assert store.downloads == [f"k7/{version}"]
        assert location.merged == contents | {"k7": "k7 2"}


def test_a_reload_brings_back_a_cache_that_was_removed(
    project: Located, cache: Path, wire: Wire
) -> None:
    with CodeLocation(project.module, store=storage(wire)) as location:
        project.paths()
        shutil.rmtree(cache)
        location.reload()
        assert sorted(path.read_text() for path in project.paths()) == ["a1", "b1"]


def test_a_load_with_everything_in_order_warns_of_nothing(project: Located) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with CodeLocation(project.module, store=project.storage, offline="last-pinned") as location:
            assert location.serial == 1
