"""Projects of any build back end get their state through pex's wrapper of back ends."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.artifacts.sdist import verify_sdist
from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.requirements import read_metadata
from tests.support.commands import base_environment, printed, run, run_checked
from tests.support.environments import make_environment, public_folder
from tests.support.frontends import build_wheel
from tests.support.plugin import ROOT, plugin_requirement
from tests.support.wrapped import BACK_ENDS, build, wrapped, wrapping_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.environments import Environment

SDIST, WHEEL = "broken-1.0.0.tar.gz", "broken-1.0.0-py3-none-any.whl"
STATE = "broken/defs/.local_defs_state"
PACKED = {
    "broken/__init__.py",
    f"{STATE}/.gitignore",
    f"{STATE}/manifest.json",
    f"{STATE}/orders/state",
    "broken/defs/__init__.py",
    "broken/defs/defs.yaml",
    "broken/writers.py",
    "broken-1.0.0.dist-info/METADATA",
    "broken-1.0.0.dist-info/RECORD",
    "broken-1.0.0.dist-info/WHEEL",
    "broken-1.0.0.dist-info/extra_metadata/defs-state/manifest.json",
}
TABLE = '\n[tool.pex.build_backend."hatch_defs_state.pex_plugin"]\n'
LOAD = (
    "from hatch_defs_state import CodeLocation; "
    "print(dict(CodeLocation('broken.defs').definitions))"
)
VALIDATE = """
import sys
from installer.sources import WheelFile
with WheelFile.open(sys.argv[1]) as source:
    source.validate_record(validate_contents=True)
"""


@pytest.fixture(scope="module")
def clean() -> Iterator[Environment]:
    """An environment that has our package, and nothing of any project."""
    with public_folder() as folder:
        yield make_environment(folder, plugin_requirement(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", BACK_ENDS)
def test_source_archive_and_wheel_carry_one_state_that_loads(
    name: str, tmp_path: Path, clean: Environment
) -> None:
    project = wrapped(name, tmp_path)
    result = build(project, tmp_path / "dist")
    assert result.returncode == 0, printed(result)
    assert result.stderr.count("writer to run") == 1
    sdist, wheel = tmp_path / "dist" / SDIST, tmp_path / "dist" / WHEEL
    pinned, found = verify_sdist(sdist), verify_wheel(wheel)
    assert (pinned.folder, found.folder) == (f"src/{STATE}", STATE)
    assert pinned.data == found.data
    assert list(found.manifest.keys) == ["orders"]
    for artifact in (SDIST, "broken-1.0.0 (wheel)"):
        line = f"1 state verified in {artifact}, digest {found.manifest.digest[:12]}"
        assert f"defs-state: {line}\n" in result.stderr
    with zipfile.ZipFile(wheel) as archive:
        names = [path for path in archive.namelist() if not path.endswith("top_level.txt")]
    assert sorted(names) == sorted(PACKED)

    shutil.rmtree(project)
    python = wrapping_environment()
    run_checked([python, "-c", VALIDATE, wheel])
    for arguments in (["install", "-q", "--force-reinstall", "--no-deps", wheel], ["check"]):
        run_checked([python, "-m", "pip", "--python", clean.python, *arguments])
    loaded = clean.run_as_stranger(["-c", LOAD])
    assert loaded.stdout == "{'orders': 'orders'}\n", printed(loaded)


@pytest.mark.slow
def test_a_wheel_from_the_source_archive_runs_nothing_and_imports_nothing(tmp_path: Path) -> None:
    project = wrapped("setuptools", tmp_path)
    assert build(project, tmp_path / "dist", "--sdist").returncode == 0
    with tarfile.open(tmp_path / "dist" / SDIST) as archive:
        archive.extractall(tmp_path / "open", filter="data")
    root = tmp_path / "open" / "broken-1.0.0"
    (root / "src/broken/writers.py").write_text("raise ImportError\n", encoding="utf-8")
    made = build(root, tmp_path / "dist", "--wheel", DEFS_STATE_CACHE_DIR=str(tmp_path / "none"))
    assert made.returncode == 0, printed(made)
    assert "to run" not in made.stderr
    assert not (tmp_path / "none").exists()
    data = verify_sdist(tmp_path / "dist" / SDIST).data
    assert verify_wheel(tmp_path / "dist" / WHEEL).data == data

    (root / "src" / STATE / "orders/state").write_text("other", encoding="utf-8")
    refused = build(root, tmp_path / "refused", "--wheel")
    assert refused.returncode == 1
    assert "orders/state differs from the manifest: 5 bytes, " in refused.stderr
    assert not list((tmp_path / "refused").iterdir())


@pytest.mark.slow
def test_what_the_back_end_leaves_out_of_the_defs_folder_is_added_or_named(tmp_path: Path) -> None:
    project = wrapped("setuptools", tmp_path)
    defs = project / "src/broken/defs"
    (defs / "query.sql").write_text("SELECT 1\n", encoding="utf-8")
    result = build(project, tmp_path / "dist", "--wheel")
    said = [line for line in result.stderr.splitlines() if line.startswith("defs-state:")]
    assert said[:2] == [
        (
            "defs-state: 1 declaration added that the build back end leaves out: "
            "broken/defs/defs.yaml"
        ),
        (
            "defs-state: the build back end leaves out 1 file of the defs folder "
            "(broken/defs/query.sql); components that read them need them as package data"
        ),
    ]
    with zipfile.ZipFile(tmp_path / "dist" / WHEEL) as archive:
        names = archive.namelist()
    assert "broken/defs/defs.yaml" in names
    assert "broken/defs/query.sql" not in names


@pytest.mark.slow
def test_the_same_state_gives_the_same_bytes_wherever_it_is_built(tmp_path: Path) -> None:
    made = []
    for place, mask in (("one", "022"), ("two", "077")):
        folder = tmp_path / place
        folder.mkdir()
        # It packs files that it has just made, with whatever mode they got.
        project = wrapped("setuptools", folder)
        for path in project.rglob("*"):
            os.utime(path, (int(mask) + 1e9, int(mask) + 1e9))
        shell = ["sh", "-c", f'umask {mask}; exec "$@"', "sh"]
        result = build(project, folder / "dist", before=shell)
        assert result.returncode == 0, printed(result)
        archive = gzip.decompress((folder / "dist" / SDIST).read_bytes())
        made.append(((folder / "dist" / WHEEL).read_bytes(), archive))
    # The header of the compressed source archive is pex's, which writes the clock into it.
    assert made[0] == made[1]


@pytest.mark.slow
def test_without_state_in_the_source_archive_the_wheel_refreshes(tmp_path: Path) -> None:
    project = wrapped("flit-core", tmp_path, extra=f"{TABLE}refresh-in-sdist = false\n")
    result = build(project, tmp_path / "dist")
    assert result.returncode == 0, printed(result)
    with tarfile.open(tmp_path / "dist" / SDIST) as archive:
        assert [name for name in archive.getnames() if "state" in name] == []
    assert list(verify_wheel(tmp_path / "dist" / WHEEL).manifest.keys) == ["orders"]
    assert result.stderr.count("writer to run") == 1


@pytest.mark.slow
def test_an_editable_wheel_is_left_alone(tmp_path: Path) -> None:
    project = wrapped("flit-core", tmp_path)
    python = wrapping_environment()
    script = (
        "import sys; from pex.build_backend import wrap; "
        "print(wrap.build_editable(sys.argv[1]), wrap.get_requires_for_build_wheel())"
    )
    environment = base_environment() | {"PYTHONPATH": str(ROOT)}
    made = run([python, "-c", script, tmp_path], cwd=project, env=environment)
    assert made.stdout == f"{WHEEL} []\n", printed(made)
    with zipfile.ZipFile(tmp_path / WHEEL) as archive:
        assert [name for name in archive.namelist() if "state" in name] == []


FAILS = "type: broken.writers.Raises\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["--sdist", "--wheel"])
def test_a_writer_that_fails_ends_the_build_and_leaves_no_artifact(
    kind: str, tmp_path: Path
) -> None:
    project = wrapped("flit-core", tmp_path)
    (project / "src/broken/defs/defs.yaml").write_text(FAILS, encoding="utf-8")
    result = build(project, tmp_path / "dist", kind)
    assert result.returncode == 1
    message = (
        "defs-state: error: src/broken/defs/defs.yaml:1: [orders] the writer of "
        "broken.writers.Raises raised ConnectionError: the API answered 503\n"
        "  output of the writer:\n"
        "    | asking the API\n"
    )
    assert message in result.stderr
    assert "Traceback" not in result.stderr.partition("defs-state: error")[2].partition("hint")[0]
    assert not list((tmp_path / "dist").glob("*"))


@pytest.mark.slow
def test_what_the_build_environment_lacks_is_named(tmp_path: Path) -> None:
    project = wrapped("poetry-core", tmp_path)
    toml = project / "pyproject.toml"
    text = toml.read_text(encoding="utf-8")
    dependencies = 'dependencies = ["absent-library>=2", "click", "other; python_version < \'3\'"]'
    text = text.replace("requires-python =", f"{dependencies}\nrequires-python =")
    toml.write_text(f'{text}{TABLE}python = "build"\n', encoding="utf-8")
    writers = project / "src/broken/writers.py"
    writers.write_text(f"import absent_library\n{writers.read_text('utf-8')}", encoding="utf-8")
    result = build(project, tmp_path / "dist", "--wheel")
    assert result.returncode == 1
    assert (
        "defs-state: error: pyproject.toml: the build environment lacks absent-library>=2, "
        "which the project depends on\n"
        "  hint: pex.build_backend.wrap installs what `requires` under [build-system] lists, and "
        "nothing else: list what the writers need there, or let the setting `python` choose "
        "another interpreter\n"
    ) in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            f'{TABLE}timeout = "soon"\n',
            (
                "defs-state: error: pyproject.toml: tool.pex.build_backend."
                '"hatch_defs_state.pex_plugin".timeout: expected a duration such as "90s", "10m" '
                "or \"24h\", got 'soon'\n"
            ),
        ),
        (
            f"{TABLE}jobs = 2\n[tool.defs-state]\njobs = 3\n",
            (
                "defs-state: error: pyproject.toml: settings are in both tool.pex.build_backend."
                '"hatch_defs_state.pex_plugin" and tool.defs-state\n'
                "  hint: keep them in one of the two tables\n"
            ),
        ),
    ],
)
def test_wrong_settings_are_named_by_their_place(extra: str, message: str, tmp_path: Path) -> None:
    result = build(wrapped("flit-core", tmp_path, extra=extra), tmp_path / "dist")
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_finds_the_same_settings(tmp_path: Path) -> None:
    project = wrapped("flit-core", tmp_path, extra=f'{TABLE}defs-module = "broken.others"\n')
    command = [sys.executable, "-m", "hatch_defs_state", "list", "--json"]
    result = run(command, cwd=project)
    assert result.returncode == 1
    assert result.stderr == (
        "error: pyproject.toml: the defs module broken.others is not a folder of packages in "
        "src, .\n"
        "  hint: set defs-module under "
        '[tool.pex.build_backend."hatch_defs_state.pex_plugin"]\n'
    )


@pytest.mark.slow
def test_in_an_isolated_build_environment(tmp_path: Path) -> None:
    project = wrapped("setuptools", tmp_path)
    toml = project / "pyproject.toml"
    text = toml.read_text(encoding="utf-8")
    requirement = json.dumps(plugin_requirement(tmp_path))
    toml.write_text(text.replace('"hatch-defs-state"]', f"{requirement}]"), encoding="utf-8")
    wheel = build_wheel(project, tmp_path / "dist").expect_wheel()
    assert list(verify_wheel(wheel).manifest.keys) == ["orders"]


@pytest.mark.slow
def test_writers_find_the_dependencies_that_the_build_environment_lacks(tmp_path: Path) -> None:
    project = wrapped("setuptools", tmp_path)
    toml = project / "pyproject.toml"
    text = toml.read_text(encoding="utf-8").replace(
        "[project]", '[project]\ndynamic = ["dependencies"]'
    )
    dynamic = '[tool.setuptools.dynamic]\ndependencies = { file = "requirements.txt" }\n'
    toml.write_text(f"{text}{dynamic}", encoding="utf-8")
    (project / "requirements.txt").write_text("iniconfig\n", encoding="utf-8")
    writers = project / "src/broken/writers.py"
    writers.write_text(f"import iniconfig\n{writers.read_text('utf-8')}", encoding="utf-8")
    result = build(project, tmp_path / "dist")
    assert result.returncode == 0, printed(result)
    assert "defs-state: iniconfig is not installed here and there is no lock: " in result.stderr
    assert result.stderr.count("writer to run") == 1
    verify_wheel(tmp_path / "dist" / WHEEL)


def test_metadata_tells_the_dependencies_of_each_extra(tmp_path: Path) -> None:
    file = tmp_path / "METADATA"
    assert read_metadata(file) is None
    file.write_text(
        "Metadata-Version: 2.4\nName: shop\nProvides-Extra: d.b\nProvides-Extra: none\n"
        "Requires-Dist: dagster>=1.12\n"
        "Requires-Dist: tomli; python_version < '3'\n"
        "Requires-Dist: obstore[s3]>=0.8; extra == 'd-b'\n"
        "Requires-Dist: absent; python_version < '3' and extra == 'd-b'\n\nText\n",
        encoding="utf-8",
    )
    assert read_metadata(file) == (
        ["dagster>=1.12", "tomli; python_version < '3'"],
        {"d-b": ["obstore[s3]>=0.8"], "none": []},
    )
