"""What holds for any content and any sequence of changes."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hatch_defs_state.storage.keys import check_key, folder_name
from hatch_defs_state.storage.measure import FileEntry
from hatch_defs_state.storage.versioned import VersionedStorage, VersionManifest
from hatch_defs_state.storage.versioned.commits import (
    EMPTY,
    Commit,
    LogEntry,
    StoredCommit,
    successor,
)
from hatch_defs_state.storage.versioned.layout import RESERVED, state_path
from hatch_defs_state.storage.versioned.versions import derive, is_derived, is_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

names = st.text("abc._-XY09", min_size=1, max_size=6).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
entries = st.builds(
    FileEntry,
    size=st.integers(0, 2**40),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
contents = st.dictionaries(paths, entries, max_size=4).flatmap(
    lambda files: entries.map(lambda state: {**files, "state": state})
)
keys = st.text(min_size=1, max_size=12).filter(lambda key: check_key(key) is None)
few_keys = st.sampled_from(["a", "b", "a/b", "a:b", "a__b", "dbt[x]", "ü"])


@given(keys, contents, keys, contents)
def test_versions_are_equal_exactly_when_key_and_content_are(
    key: str, files: Mapping[str, FileEntry], other: str, others: Mapping[str, FileEntry]
) -> None:
    version = derive(key, files)
    assert (version == derive(other, others)) == ((key, files) == (other, others))
    assert version == derive(key, dict(reversed(list(files.items()))))
    assert str(uuid.UUID(version)) == version
    assert uuid.UUID(version).version == 8
    assert uuid.UUID(version).variant == uuid.RFC_4122
    assert is_derived(version)
    assert is_plain(version) == (set(files) == {"state"})
    assert not is_derived(str(uuid.uuid4()))


@given(keys, contents, st.none() | st.uuids(version=4).map(str))
def test_manifests_survive_writing_and_reading(
    key: str, files: Mapping[str, FileEntry], version: str | None
) -> None:
    manifest = VersionManifest(key, version or derive(key, files), files)
    data = manifest.to_bytes()
    assert VersionManifest.parse(data, key, manifest.version) == manifest
    assert VersionManifest.parse(data, key, manifest.version).to_bytes() == data


@given(keys)
def test_no_key_reaches_our_own_folder(key: str) -> None:
    assert folder_name(key) != RESERVED
    assert state_path(key, "v").split("/")[0] not in {RESERVED, ".", "..", ""}


changes = st.dictionaries(
    st.integers(0, 400).map(str), st.none() | st.text("0123456789abcdef", min_size=1, max_size=4)
)


@settings(max_examples=60)
@given(st.lists(changes, min_size=1, max_size=60), st.integers(1, 400))
def test_commits_read_back_are_what_was_committed(
    history: list[Mapping[str, str | None]], initial: int
) -> None:
    first = {str(number): "v" for number in range(initial)}
    expected: dict[str, str] = {}
    stored, current = EMPTY, EMPTY.resolve(None)
    log: dict[int, StoredCommit] = {}
    for change in (first, *history):
        effective = {
            key: version for key, version in change.items() if version != expected.get(key)
        }
        draft = LogEntry(0, None, "lineage", "nonce", float(len(log)), "message", {})
        stored = successor(stored, current, effective, draft)
        log[stored.entry.serial] = StoredCommit.parse(stored.to_bytes(), stored.entry.serial)
        assert log[stored.entry.serial] == stored
        current = resolve(stored, log)
        for key, version in effective.items():
            if version is None:
                expected.pop(key, None)
            else:
                expected[key] = version
        assert {key: value.version for key, value in current.versions.items()} == expected


def resolve(commit: StoredCommit, log: Mapping[int, StoredCommit]) -> Commit:
    base = commit.entry.base
    if base is None:
        return commit.resolve(None)
    assert log[base.serial].entry.sha256 == base.sha256
    assert log[base.serial].entry.base is None
    return commit.resolve(log[base.serial])


class StorageMachine(RuleBasedStateMachine):
    """Two users of one store against a model: a list of what each commit made current."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        url = f"memory://{uuid.uuid4()}"
        self.users = [VersionedStorage(url), VersionedStorage(url)]
        self.history: list[dict[str, bytes]] = [{}]
        self.stored: dict[tuple[str, str], bytes] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def happened(self, serial: int, new: dict[str, bytes]) -> None:
        if new != self.history[-1]:
            self.history.append(new)
        assert serial == len(self.history) - 1

    @rule(
        user=st.integers(0, 1),
        states=st.dictionaries(few_keys, st.binary(max_size=2), min_size=1, max_size=4),
    )
    def push(self, user: int, states: dict[str, bytes]) -> None:
        folders = {}
        for number, (key, data) in enumerate(states.items()):
            folders[key] = self.folder / str(number)
            folders[key].write_bytes(data)
        commit = self.users[user].push(folders)
        self.happened(commit.serial, {**self.history[-1], **states})
        for key, data in states.items():
            self.stored[key, str(commit.version_of(key))] = data

    @rule(user=st.integers(0, 1), key=few_keys)
    def remove(self, user: int, key: str) -> None:
        commit = self.users[user].set_version(key, None)
        self.happened(
            commit.serial, {name: old for name, old in self.history[-1].items() if name != key}
        )

    @precondition(lambda self: self.stored)
    @rule(user=st.integers(0, 1), data=st.data())
    def set_version(self, user: int, data: st.DataObject) -> None:
        key, version = data.draw(st.sampled_from(sorted(self.stored)))
        commit = self.users[user].set_version(key, version)
        self.happened(commit.serial, {**self.history[-1], key: self.stored[key, version]})

    @rule(user=st.integers(0, 1), data=st.data())
    def rollback(self, user: int, data: st.DataObject) -> None:
        serial = data.draw(st.integers(0, len(self.history) - 1))
        commit = self.users[user].rollback(serial)
        self.happened(commit.serial, self.history[serial])

    @rule()
    def forget_the_hint(self) -> None:
        self.users[0].store.delete("@defs-state/head.json")

    @rule(user=st.integers(0, 1))
    def start_again(self, user: int) -> None:
        self.users[user] = VersionedStorage(self.users[user].url, store=self.users[user].store)

    @invariant()
    def everyone_sees_the_same_head(self) -> None:
        for user in self.users:
            head = user.head()
            assert head.serial == len(self.history) - 1
            found = {
                key: user.store.get(state_path(key, value.version))
                for key, value in head.versions.items()
            }
            assert found == self.history[-1]

    @invariant()
    def all_history_is_whole(self) -> None:
        report = self.users[0].verify()
        assert report.problems == ()
        assert report.commits == len(self.history) - 1


TestStorageMachine = StorageMachine.TestCase
TestStorageMachine.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
