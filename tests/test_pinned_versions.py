"""Artifacts that know their versions: a build pins versioned state, and may bundle its content."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.sdist import verify_sdist
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.commands import HATCHLING, base_environment, printed, run
from tests.test_layouts import Arrangement, arrange

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from hatch_defs_state.storage.manifest import Manifest

STATE = "broken/defs/.local_defs_state"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a local component and a versioned one."""
    project = arrange(Arrangement(), tmp_path)
    (project / "src/broken/defs/defs.yaml").write_text(
        "type: broken.writers.Writer\n---\ntype: broken.writers.Writer\nattributes:\n"
        "  key: prices\n  management_type: VERSIONED_STATE_STORAGE\n",
        "utf-8",
    )
    return project


@pytest.fixture
def storage(tmp_path: Path) -> VersionedStorage:
    """A store with two commits: prices, and something else."""
    storage = VersionedStorage(tmp_path / "store")
    for key, content in (("prices", b"[1, 2]"), ("others", b"[]")):
        folder = tmp_path / key
        folder.mkdir()
        (folder / "state").write_bytes(content)
        (folder / "notes.txt").write_bytes(content)
        storage.push({key: folder})
    return storage


def build(project: Path, *targets: str, **variables: str) -> subprocess.CompletedProcess[str]:
    options = [option for target in targets for option in ("-t", target)]
    environment = base_environment() | {"DEFS_STATE_PIN_VERSIONED": "true"} | variables
    return run([HATCHLING, "build", *options], cwd=project, env=environment)


def manifest_of(project: Path, **variables: str) -> Manifest:
    result = build(project, "wheel", **variables)
    assert result.returncode == 0, printed(result)
    return verify_wheel(next((project / "dist").glob("*.whl"))).manifest


def test_the_commit_and_the_versions_are_in_the_manifest(
    project: Path, storage: VersionedStorage
) -> None:
    manifest = manifest_of(project, DEFS_STATE_STORE=storage.url)
    assert manifest.pinned is not None
    assert (manifest.pinned.serial, manifest.pinned.lineage) == (2, storage.lineage())
    entry = manifest.elsewhere["prices"]
    assert entry.version == storage.head().versions["prices"].version
    assert entry.files == {}
    assert list(manifest.keys) == ["orders"]
    assert manifest.settings == {"store": storage.url}


def test_a_store_in_the_project_is_named_as_the_user_wrote_it(
    project: Path, storage: VersionedStorage
) -> None:
    shutil.copytree(storage.url, project / "state-store")
    manifest = manifest_of(project, DEFS_STATE_STORE="state-store")
    assert manifest.pinned is not None
    assert manifest.pinned.store == "state-store"


def test_bundled_content_is_in_the_artifact_and_verified(
    project: Path, storage: VersionedStorage
) -> None:
    variables = {"DEFS_STATE_STORE": storage.url, "DEFS_STATE_OFFLINE": "bundled"}
    manifest = manifest_of(project, **variables)
    assert sorted(manifest.files) == [
        "@versions/prices/notes.txt",
        "@versions/prices/state",
        "orders/state",
    ]
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{STATE}/@versions/prices/state") == b"[1, 2]"
    assert manifest.settings == {"store": storage.url, "offline": "bundled"}


def test_a_wheel_from_a_source_archive_pins_what_that_pinned(
    project: Path, storage: VersionedStorage, tmp_path: Path
) -> None:
    variables = {"DEFS_STATE_STORE": storage.url, "DEFS_STATE_OFFLINE": "bundled"}
    assert build(project, "sdist", **variables).returncode == 0
    (sdist,) = (project / "dist").iterdir()
    pinned = verify_sdist(sdist)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "open", filter="data")
    (root,) = (tmp_path / "open").iterdir()
    shutil.rmtree(storage.url)
    result = build(root, "wheel")
    assert result.returncode == 0, printed(result)
    # One local state, and one version that is bundled.
    assert "defs-state: 2 states verified in " in result.stderr
    assert verify_wheel(next((root / "dist").iterdir())).data == pinned.data


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {},
            (
                "defs-state: error: where versioned state is kept is not known\n"
                "  hint: set `store` (DEFS_STATE_STORE, --store) to a folder"
            ),
        ),
        (
            {"DEFS_STATE_STORE": "nothing-here"},
            (
                "defs-state: error: src/broken/defs/defs.yaml:3: [prices] {project}/nothing-here "
                "has no state of this key to pin\n"
                "  hint: run `defs-state refresh --management-type VERSIONED_STATE_STORAGE` first, "
                "or name the key in `allow-missing`\n"
            ),
        ),
    ],
)
def test_what_cannot_be_pinned_ends_the_build(
    variables: dict[str, str], message: str, project: Path
) -> None:
    result = build(project, "wheel", **variables)
    assert result.returncode == 1
    assert message.format(project=project) in result.stderr
    assert not list((project / "dist").glob("*.whl"))


def test_a_key_that_may_be_missing_is_not_pinned(project: Path, storage: VersionedStorage) -> None:
    storage.set_version("prices", None)
    variables = {"DEFS_STATE_STORE": storage.url, "DEFS_STATE_ALLOW_MISSING": "pri*"}
    manifest = manifest_of(project, **variables)
    assert manifest.elsewhere["prices"].version is None


def test_frozen_builds_ask_no_store(project: Path, storage: VersionedStorage) -> None:
    assert build(project, "wheel", DEFS_STATE_PIN_VERSIONED="false").returncode == 0
    wheel = next((project / "dist").glob("*.whl"))
    state = project / "src/broken/defs/.local_defs_state"
    shutil.rmtree(state)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(STATE):
                place = state / name.removeprefix(f"{STATE}/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(name))
    variables = {"DEFS_STATE_STORE": storage.url, "DEFS_STATE_REFRESH": "frozen"}
    result = build(project, "wheel", **variables)
    assert result.returncode == 1
    assert (
        "`pin-versioned` asks the store which versions are current, "
        '`refresh = "frozen"` forbids to ask anything'
    ) in result.stderr


def test_no_credentials_get_into_the_manifest(project: Path) -> None:
    manifest = manifest_of(
        project,
        DEFS_STATE_PIN_VERSIONED="false",
        DEFS_STATE_STORE="s3://me:secret@bucket/prefix?token=secret",
    )
    assert json.loads(manifest.to_bytes())["settings"] == {"store": "s3://bucket/prefix"}
