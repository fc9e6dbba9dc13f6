"""Whatever carries state is verified, without saying what it is."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from hatch_defs_state.artifacts.kinds import Verified, verify
from hatch_defs_state.artifacts.pex import verify_pex
from hatch_defs_state.errors import DefsStateError
from hatch_defs_state.storage import generation as generations
from tests.support.commands import HATCHLING, run_checked
from tests.test_layouts import Arrangement, arrange


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of one project, and its state folder."""
    folder = tmp_path_factory.mktemp("artifacts")
    project = arrange(Arrangement(), folder)
    run_checked([HATCHLING, "build", "-d", folder / "dist"], cwd=project)
    dist = folder / "dist"
    with zipfile.ZipFile(dist / "broken-1.0.0-py3-none-any.whl") as wheel:
        wheel.extractall(folder / "open")
    (folder / "open/broken/defs/.local_defs_state").rename(dist / "state")
    return dist


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("broken-1.0.0-py3-none-any.whl", "wheel"),
        ("broken-1.0.0.tar.gz", "source archive"),
        ("state", "state folder"),
    ],
)
def test_an_artifact_is_verified_as_what_it_is(
    name: str, kind: str, dist: Path, tmp_path: Path
) -> None:
    path = dist / name
    found = verify(path)
    assert found.kind == kind
    (state,) = found.states
    expected = generations.read(dist / "state").manifest
    assert state.manifest == expected
    if path.is_file():
        renamed = Path(shutil.copy(path, tmp_path / "renamed"))
        assert verify(renamed) == Verified(kind, (replace(state, path=renamed),))


def test_what_carries_no_state_is_told_apart(dist: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".local_defs_state").mkdir()
    with zipfile.ZipFile(tmp_path / "app.pex", "w") as file:
        file.writestr("PEX-INFO", "{}")
        file.writestr(".deps/shop-1.0-py3-none-any.whl/shop.py", "")
    shutil.copytree(dist / "state", tmp_path / "altered")
    (tmp_path / "altered" / "orders" / "state").write_text("other", encoding="utf-8")
    messages = {
        "text": f"{tmp_path}/text is no wheel, source archive, PEX or state folder",
        "folder": f"{tmp_path}/folder is neither the folder of a PEX nor a state folder",
        ".local_defs_state": (
            f"{tmp_path}/.local_defs_state has no manifest.json: no complete generation is there"
        ),
        "app.pex": "app.pex carries no state",
        "absent": f"{tmp_path}/absent does not exist",
    }
    for name, message in messages.items():
        with pytest.raises(DefsStateError) as raised:
            verify(tmp_path / name)
        assert raised.value.message == message
    with pytest.raises(DefsStateError, match=r"orders/state differs from the manifest: 5 bytes"):
        verify(tmp_path / "altered")


def test_all_that_is_wrong_in_a_pex_is_named(dist: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    state = whole / "shop/defs/.local_defs_state"
    shutil.copytree(dist / "state", state)
    unpacked = whole / ".deps/broken-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(dist / "broken-1.0.0-py3-none-any.whl") as wheel:
        wheel.extractall(unpacked)
    info = {"bind_resource_paths": {"VARIABLE": "shop/defs/.local_defs_state/manifest.json"}}
    (whole / "PEX-INFO").write_text(json.dumps(info), encoding="utf-8")
    found = verify_pex(whole)
    assert (found.layout, len(found.states)) == ("loose", 2)
    assert [found.boots_without(each) for each in found.states] == [True, False]

    (state / "orders" / "state").write_text("other", encoding="utf-8")
    (unpacked / "broken/defs/.local_defs_state/.gitignore").unlink()
    with pytest.raises(DefsStateError) as raised:
        verify_pex(whole)
    first, _, second, _ = str(raised.value).splitlines()
    assert first.startswith("whole: orders/state differs from the manifest: 5 bytes, ")
    assert second.startswith(
        "broken-1.0.0-py3-none-any.whl: broken/defs/.local_defs_state/.gitignore is missing "
    )
