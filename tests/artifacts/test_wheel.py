"""A wheel whose state differs from its manifest in any way does not pass."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import DefsStateError, SourceLocation, flatten
from hatch_defs_state.storage.generation import GITIGNORE, measure
from hatch_defs_state.storage.manifest import KeyEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path

STATE = "shop/defs/.local_defs_state"
COPY = "shop-1.dist-info/extra_metadata/defs-state/manifest.json"


@pytest.fixture
def content(tmp_path: Path) -> dict[str, bytes]:
    """The state of a sound wheel, by path."""
    file = tmp_path / "state"
    file.write_bytes(b"[1, 2]")
    entry = KeyEntry(
        component_type="shop.Orders",
        source=SourceLocation("src/shop/defs/defs.yaml", 1),
        management_type=ManagementType.LOCAL_FILESYSTEM,
        files={"state": measure(file)},
        versions={"python": "3.12.1"},
        written_at="2026-01-02T03:04:05Z",
    )
    manifest = Manifest("shop", {"orders": entry}).to_bytes()
    return {
        f"{STATE}/orders/state": b"[1, 2]",
        f"{STATE}/.gitignore": GITIGNORE,
        f"{STATE}/manifest.json": manifest,
        COPY: manifest,
    }


def write(tmp_path: Path, content: dict[str, bytes], *more: tuple[str, bytes]) -> Path:
    wheel = tmp_path / "shop-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in [*content.items(), *more]:
            archive.writestr(name, data)
    return wheel


def complaints(wheel: Path) -> list[str]:
    with pytest.raises(DefsStateError) as caught:
        verify_wheel(wheel)
    return [error.message for error in flatten([caught.value])]


def test_a_sound_wheel_passes(tmp_path: Path, content: dict[str, bytes]) -> None:
    verified = verify_wheel(write(tmp_path, content))
    assert verified.folder == STATE
    assert list(verified.manifest.keys) == ["orders"]


def test_much_state_is_checked_in_threads_with_the_same_result(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatch_defs_state.storage.measure._WORTH_THREADS", 0)
    assert verify_wheel(write(tmp_path, content)).folder == STATE
    content[f"{STATE}/orders/state"] = b"[1, 3]"
    assert complaints(write(tmp_path, content)) == [
        (
            "shop-1-py3-none-any.whl: orders/state differs from the manifest: "
            "6 bytes, sha256 4e3970018fa5… instead of 6 bytes, sha256 3a316d6d3226…"
        )
    ]
    damaged = write(tmp_path, content)
    damaged.write_bytes(damaged.read_bytes().replace(b"[1, 3]", b"[9, 9]", 1))
    assert "Bad CRC-32" in complaints(damaged)[0]


def test_damage_ends_with_what_to_do(tmp_path: Path, content: dict[str, bytes]) -> None:
    hint = "  hint: it was altered after it was built; build it anew, or get an unaltered copy"
    content[f"{STATE}/orders/state"] = b"[1, 3]"
    content[f"{STATE}/removed/state"] = b"[]"
    with pytest.raises(DefsStateError) as caught:
        verify_wheel(write(tmp_path, content))
    assert str(caught.value).endswith(f"removed/state is not in the manifest\n{hint}")
    del content[f"{STATE}/manifest.json"]
    with pytest.raises(DefsStateError) as caught:
        verify_wheel(write(tmp_path, content))
    assert str(caught.value).endswith(f"manifest.json is missing\n{hint}")


def test_altered_missing_and_added_files_are_all_named(
    tmp_path: Path, content: dict[str, bytes]
) -> None:
    content[f"{STATE}/orders/state"] = b"[1, 3]"
    content[f"{STATE}/removed/state"] = b"[]"
    assert complaints(write(tmp_path, content)) == [
        (
            "shop-1-py3-none-any.whl: orders/state differs from the manifest: "
            "6 bytes, sha256 4e3970018fa5… instead of 6 bytes, sha256 3a316d6d3226…"
        ),
        "shop-1-py3-none-any.whl: removed/state is not in the manifest",
    ]
    del content[f"{STATE}/orders/state"]
    assert complaints(write(tmp_path, content)) == [
        "shop-1-py3-none-any.whl: orders/state is in the manifest and missing",
        "shop-1-py3-none-any.whl: removed/state is not in the manifest",
    ]


def test_an_edited_manifest_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    name = f"{STATE}/manifest.json"
    content[name] = content[name].replace(b"3a316d6d", b"00000000")
    (message,) = complaints(write(tmp_path, content))
    assert message.startswith("the manifest was edited: its digest is ")


@pytest.mark.parametrize("missing", [f"{STATE}/.gitignore", COPY, f"{STATE}/manifest.json"])
def test_a_wheel_without_a_companion_of_the_state_is_refused(
    tmp_path: Path, content: dict[str, bytes], missing: str
) -> None:
    del content[missing]
    assert complaints(write(tmp_path, content)) == {
        f"{STATE}/.gitignore": [
            (
                f"shop-1-py3-none-any.whl: {STATE}/.gitignore is missing or altered; "
                "Dagster would try to write it into the installed package"
            )
        ],
        COPY: ["shop-1-py3-none-any.whl: the copy of the manifest in its metadata is not the same"],
        f"{STATE}/manifest.json": [
            f"shop-1-py3-none-any.whl has state and no manifest: {STATE}/manifest.json is missing"
        ],
    }.get(missing)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    twice = (f"{STATE}/orders/state", b"[1, 2]")
    assert complaints(write(tmp_path, content, twice)) == [
        f"shop-1-py3-none-any.whl: {STATE}/orders/state is in it twice"
    ]


def test_two_state_folders_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    other = ("other/.local_defs_state/manifest.json", b"{}")
    assert complaints(write(tmp_path, content, other)) == [
        (
            "shop-1-py3-none-any.whl has 2 state folders: "
            "other/.local_defs_state, shop/defs/.local_defs_state"
        )
    ]


def test_a_wheel_without_state_says_so(tmp_path: Path) -> None:
    assert complaints(write(tmp_path, {"shop/__init__.py": b""})) == [
        "shop-1-py3-none-any.whl carries no state"
    ]


def test_what_is_no_wheel_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.whl"
    text.write_text("no archive", encoding="utf-8")
    assert complaints(text) == [f"{text} is no readable wheel: File is not a zip file"]
    assert complaints(tmp_path / "none.whl") == [f"{tmp_path / 'none.whl'} does not exist"]
    assert complaints(tmp_path) == [f"{tmp_path} is a folder, not a wheel"]


def test_a_damaged_archive_is_named(tmp_path: Path, content: dict[str, bytes]) -> None:
    wheel = write(tmp_path, content)
    data = wheel.read_bytes()
    wheel.write_bytes(data.replace(b"[1, 2]", b"[9, 9]", 1))
    assert complaints(wheel) == [
        f"{wheel} is no readable wheel: Bad CRC-32 for file '{STATE}/orders/state'"
    ]
