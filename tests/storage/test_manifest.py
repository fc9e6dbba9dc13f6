"""A manifest says all of its generation, and nothing of the machine that wrote it."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import ManifestError, SourceLocation
from hatch_defs_state.storage.keys import check_key, comparable, folder_name
from hatch_defs_state.storage.manifest import KeyEntry, Manifest, Pinned
from hatch_defs_state.storage.measure import FileEntry

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
files = st.builds(FileEntry, size=st.integers(0, 2**53), sha256=digests)
sources = st.builds(SourceLocation, names, st.none() | st.integers(1, 10**6))
local_entries = st.builds(
    KeyEntry,
    component_type=names,
    source=sources,
    management_type=st.just(ManagementType.LOCAL_FILESYSTEM),
    files=st.dictionaries(names, files, max_size=3),
    versions=st.dictionaries(names, names, max_size=3),
    written_at=st.none() | names,
)
other_entries = st.builds(
    KeyEntry,
    component_type=names,
    source=sources,
    management_type=st.just(ManagementType.VERSIONED_STATE_STORAGE),
    files=st.dictionaries(names, files, max_size=3),
    version=st.none() | names,
)
manifests = st.builds(
    Manifest,
    project=names,
    keys=st.dictionaries(names, local_entries, max_size=3),
    elsewhere=st.dictionaries(names, other_entries, max_size=3),
    pinned=st.none() | st.builds(Pinned, names, names, st.integers(0, 2**53)),
    settings=st.dictionaries(names, names | st.lists(names, max_size=2), max_size=2),
)


@given(manifests)
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.to_bytes()) == manifest


@given(manifests, st.binary())
def test_any_document_is_a_manifest_or_an_error(manifest: Manifest, junk: bytes) -> None:
    data = manifest.to_bytes()
    for document in (junk, data[: len(data) // 2], data.replace(b'"keys"', b'"kees"')):
        with pytest.raises(ManifestError):
            Manifest.parse(document)


def test_the_digest_depends_on_content_alone() -> None:
    entry = KeyEntry(
        component_type="shop.Orders",
        source=SourceLocation("defs.yaml", 1),
        management_type=ManagementType.LOCAL_FILESYSTEM,
        files={"state": FileEntry(1, "a" * 64)},
        written_at="2026-01-01T00:00:00Z",
    )
    later = KeyEntry(
        component_type="shop.Orders",
        source=SourceLocation("defs.yaml", 9),
        management_type=ManagementType.LOCAL_FILESYSTEM,
        files={"state": FileEntry(1, "a" * 64)},
        written_at="2026-02-02T00:00:00Z",
    )
    assert Manifest("shop", {"k": entry}).digest == Manifest("shop", {"k": later}).digest
    assert Manifest("shop", {"k": entry}).digest != Manifest("shop", {"j": entry}).digest


def versioned(version: str | None, **files: str) -> KeyEntry:
    return KeyEntry(
        component_type="shop.Prices",
        source=SourceLocation("defs.yaml", 1),
        management_type=ManagementType.VERSIONED_STATE_STORAGE,
        files={path: FileEntry(1, digit * 64) for path, digit in files.items()},
        version=version,
    )


def test_the_digest_depends_on_pinned_versions_and_what_is_bundled_of_them() -> None:
    nothing = Manifest("shop", {})
    unpinned = Manifest("shop", {}, {"k": versioned(None)})
    first = Manifest("shop", {}, {"k": versioned("v1")})
    second = Manifest("shop", {}, {"k": versioned("v2")})
    bundled = Manifest("shop", {}, {"k": versioned("v1", state="a")})
    assert unpinned.digest == nothing.digest
    assert len({manifest.digest for manifest in (nothing, first, second, bundled)}) == 4


def test_bundled_versions_are_files_of_the_generation() -> None:
    manifest = Manifest("shop", {}, {"a/b": versioned("v1", state="a")})
    assert manifest.files == {"@versions/a__b/state": FileEntry(1, "a" * 64)}


def test_what_is_not_pinned_is_not_mentioned() -> None:
    document = json.loads(Manifest("shop", {}, {"k": versioned(None)}).to_bytes())
    assert set(document) == {"schema", "project", "digest", "keys", "elsewhere"}
    assert set(document["elsewhere"]["k"]) == {"component_type", "management_type", "source"}


def test_a_newer_schema_is_refused() -> None:
    document = json.loads(Manifest("shop", {}).to_bytes()) | {"schema": 2}
    with pytest.raises(ManifestError, match="has schema 2, this version reads schema 1"):
        Manifest.parse(json.dumps(document).encode())


@given(st.text())
def test_every_key_is_refused_or_names_a_folder_of_its_own(key: str) -> None:
    name = folder_name(key)
    assert set(name) <= set(string.ascii_letters + string.digits + "._-")
    if check_key(key) is None:
        assert 0 < len(name) <= 255
        assert name not in {".", ".."}
        assert comparable(name) not in {"manifest.json", ".gitignore"}
