"""`defs-state pex`: PEX files that carry the state of their projects, and need it to boot."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.artifacts.pex import verify_pex
from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.commands import HATCHLING, base_environment, printed, run, run_checked
from tests.support.environments import make_environment, public_folder
from tests.support.frontends import kept_environment
from tests.support.plugin import plugin_requirement
from tests.support.projects import copy_project, with_hook
from tests.support.wrapped import PEX, wrapping_environment
from tests.test_dagster_components import DAGSTER, OURS
from tests.test_layouts import Arrangement, arrange

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from tests.support.environments import Environment

pytestmark = pytest.mark.slow

DEFS_STATE = str(Path(sysconfig.get_path("scripts"), "defs-state"))
STATE = "warehouse/defs/.local_defs_state"
VARIABLE = "DEFS_STATE_MANIFEST_WAREHOUSE"
LAST_TABLE = "products: id, name, price_in_cents"
LAYOUTS = {
    "zipapp": (),
    "packed": ("--layout", "packed"),
    "loose": ("--layout", "loose"),
    "venv": ("--venv",),
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of our package and of what it needs."""
    folder = tmp_path_factory.mktemp("packages")
    requirement = plugin_requirement(tmp_path_factory.mktemp("plugin"))
    python = wrapping_environment()
    run_checked([python, "-m", "pip", "wheel", "-q", "--wheel-dir", folder, requirement])
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the quickstart project, with its state."""
    project = copy_project("quickstart", tmp_path_factory.mktemp("quickstart"))
    run_checked([HATCHLING, "build", "-t", "wheel"], cwd=project)
    return project / "dist" / "warehouse-1.0.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def bare() -> Iterator[Environment]:
    """An environment without any package, which every user can run."""
    with public_folder() as folder:
        yield make_environment(folder)


def defs_state_pex(
    *arguments: str | Path,
    pex: str = PEX,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    mask: str = "022",
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(kept_environment(pex).parent), os.environ.get("PATH", "")])
    shell = ["sh", "-c", f'umask {mask}; exec "$@"', "sh"]
    environment = base_environment() | {"PATH": path} | dict(variables or {})
    return run([*shell, DEFS_STATE, "pex", *arguments], cwd=cwd, env=environment)


def built(
    *arguments: str | Path, variables: Mapping[str, str] | None = None, mask: str = "022"
) -> dict[str, Any]:
    """Build a PEX that has to come out, and return the document about it."""
    result = defs_state_pex(*arguments, "--json", variables=variables, mask=mask)
    assert result.returncode == 0, printed(result)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def offline(packages: Path) -> tuple[str, ...]:
    return ("--no-index", "-f", str(packages))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads_as_another_user_from_where_nothing_can_be_written(
    layout: str, wheel: Path, packages: Path, bare: Environment, tmp_path: Path
) -> None:
    with public_folder() as folder:
        app, root = folder / "dist" / "app.pex", folder / "pex-root"
        options = ("-m", "warehouse", *LAYOUTS[layout], *offline(packages))
        document = built(wheel, "-o", app, *options)
        assert document["layout"] == ("zipapp" if layout == "venv" else layout)
        digest = verify_wheel(wheel).manifest.digest
        assert document["projects"] == [
            {
                "project": "warehouse",
                "digest": digest,
                "folder": STATE,
                "keys": ["SqliteCatalog[warehouse]"],
                "variable": VARIABLE,
                "wheel": wheel.name,
            }
        ]
        assert os.listdir(app.parent) == ["app.pex"]  # noqa: PTH208
        found = verify_pex(app)
        assert found.bound == {VARIABLE: f"{STATE}/manifest.json"}
        assert [state.manifest.digest for state in found.states] == [digest]

        make_read_only(app)
        root.mkdir()
        root.chmod(0o777)
        for _ in range(2):
            loaded = bare.run_as_stranger([app], env={"PEX_ROOT": str(root)})
            assert loaded.returncode == 0, printed(loaded)
            assert loaded.stdout.splitlines()[-1] == LAST_TABLE
            # What the first start left there is all that the second one has.
            make_read_only(root)
        assert verify_pex(app) == found

        if layout == "zipapp":
            other = Path(shutil.copy(wheel, tmp_path))
            built(other, "-o", tmp_path / "other.pex", *options, mask="077")
            assert (tmp_path / "other.pex").read_bytes() == app.read_bytes()
        make_removable(folder)
        if layout == "loose":
            assert_refuses_to_boot_without_its_state(app, bare)


def assert_refuses_to_boot_without_its_state(app: Path, bare: Environment) -> None:
    state = next(app.glob(f".deps/warehouse-*.whl/{STATE}"))
    file = state / "SqliteCatalog__warehouse__" / "state"
    file.chmod(0o644)
    file.write_text("[]", encoding="utf-8")
    altered = run([DEFS_STATE, "verify", app])
    assert altered.returncode == 1
    assert "SqliteCatalog__warehouse__/state differs from the manifest" in altered.stderr
    (state / "manifest.json").unlink()
    refused = bare.run([app])
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert f"There was no resource file {STATE}/manifest.json found" in refused.stderr


def make_read_only(path: Path) -> None:
    for parent, _, names in os.walk(path, topdown=False):
        for each in [Path(parent, name) for name in names] + [Path(parent)]:
            if not each.is_symlink():
                each.chmod(each.stat().st_mode & 0o555)
                if os.geteuid() == 0:
                    os.chown(each, 0, 0)
    if path.is_file():
        path.chmod(0o555)


def make_removable(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)


def test_the_wheel_of_a_project_is_built_first_and_says_what_runs(
    packages: Path, tmp_path: Path
) -> None:
    project = copy_project("quickstart", tmp_path)
    links = {"UV_FIND_LINKS": str(packages), "PIP_FIND_LINKS": str(packages)}
    arguments = (project, "-o", tmp_path / "app.pex", "-f", str(packages))
    result = defs_state_pex(*arguments, variables=links)
    assert result.returncode == 0, printed(result)
    assert result.stdout == ""
    digest = verify_pex(tmp_path / "app.pex").states[0].manifest.digest[:12]
    said = result.stderr.splitlines()
    assert said[0] == "quickstart: building the wheel with `python -m build`"
    assert "1 writer to run" in said
    assert said[-2:] == [
        f"building app.pex with pex {PEX.partition('==')[2]}",
        f"app.pex: 1 state of warehouse verified, digest {digest}",
    ]
    quiet = defs_state_pex(*arguments, "--quiet", variables=links)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_several_projects_in_one_pex_each_have_their_state(
    wheel: Path, packages: Path, tmp_path: Path, bare: Environment
) -> None:
    other = arrange(Arrangement(), tmp_path)
    run_checked([HATCHLING, "build", "-t", "wheel", "-d", tmp_path], cwd=other)
    with public_folder() as folder:
        app = folder / "both.pex"
        broken = tmp_path / "broken-1.0.0-py3-none-any.whl"
        document = built(wheel, broken, "-o", app, *offline(packages), "hatch-defs-state")
        variables = [project["variable"] for project in document["projects"]]
        assert variables == [VARIABLE, "DEFS_STATE_MANIFEST_BROKEN"]
        script = (
            "import os; from hatch_defs_state import CodeLocation as L; "
            "print(*L('broken.defs').definitions, *L('warehouse.defs').definitions); "
            f"print(*(os.path.exists(os.environ[name]) for name in {variables}))"
        )
        loaded = bare.run_as_stranger([app, "-c", script])
        assert loaded.stdout == "orders SqliteCatalog[warehouse]\nTrue True\n", printed(loaded)
        shown = run_checked([DEFS_STATE, "verify", app]).stdout.splitlines()
        assert [line for line in shown if line.startswith("both.pex")] == [
            f"both.pex: 1 state verified in {state.folder}, digest {state.manifest.digest[:12]}"
            for state in verify_pex(app).states
        ]
        listed = json.loads(run_checked([DEFS_STATE, "verify", app, "--json"]).stdout)
        assert [state["manifest"]["project"] for state in listed["states"]] == [
            "broken",
            "warehouse",
        ]


def test_sources_are_packed_with_the_state_beside_them(
    packages: Path, tmp_path: Path, bare: Environment
) -> None:
    project = copy_project("quickstart", tmp_path)
    stale = project / "src" / STATE
    (stale / "removed").mkdir(parents=True)
    (stale / "removed" / "state").write_text("stale", encoding="utf-8")
    (project / "src" / "warehouse" / ".hidden").write_text("kept", encoding="utf-8")
    with public_folder() as folder:
        app = folder / "app.pex"
        options = ("-m", "warehouse", "--layout", "loose", *offline(packages))
        document = built(
            project, "--sources", "-o", app, *options, variables={"DEFS_STATE_PYTHON": "build"}
        )
        assert document["projects"][0]["wheel"] is None
        assert not list(app.glob(".deps/warehouse-*"))
        files = sorted(path.relative_to(app).as_posix() for path in (app / "warehouse").rglob("*"))
        assert files == [
            "warehouse/.hidden",
            "warehouse/__init__.py",
            "warehouse/__main__.py",
            "warehouse/components.py",
            "warehouse/defs",
            STATE,
            f"{STATE}/.gitignore",
            f"{STATE}/SqliteCatalog__warehouse__",
            f"{STATE}/SqliteCatalog__warehouse__/state",
            f"{STATE}/manifest.json",
            "warehouse/defs/__init__.py",
            "warehouse/defs/catalog",
            "warehouse/defs/catalog/defs.yaml",
        ]
        loaded = bare.run_as_stranger([app])
        assert loaded.stdout.splitlines()[-1] == LAST_TABLE, printed(loaded)


def test_a_dagster_project_loads_from_a_pex(tmp_path: Path) -> None:
    project = copy_project("dagster_minimal", tmp_path)
    defs = project / "src/minimal/defs/stock"
    defs.mkdir()
    declaration = "type: minimal.components.Inventory\nattributes: {name: shop}\n"
    (defs / "defs.yaml").write_text(declaration, encoding="utf-8")
    python = kept_environment(*DAGSTER["the newest"], *OURS)
    app = tmp_path / "app.pex"
    with_hook(project, "hatch-defs-state")
    variables = {"DEFS_STATE_PYTHON": str(python)}
    run_checked(
        [HATCHLING, "build", "-t", "wheel", "-d", tmp_path],
        cwd=project,
        env=base_environment() | variables,
    )
    shutil.rmtree(project)
    # Dagster itself comes from where the PEX runs: packing it takes pex a minute.
    options = ("--intransitive", "--inherit-path=fallback", "--layout", "packed")
    built(tmp_path / "minimal-1.0.0-py3-none-any.whl", "-o", app, *options)
    make_read_only(app)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = base_environment() | {"PEX_ROOT": str(tmp_path / "root")}
    script = (
        "from minimal.definitions import defs; "
        "print([key.to_user_string() for key in defs().resolve_all_asset_keys()])"
    )
    keys = run_checked([python, app, "-c", script], cwd=empty, env=environment)
    assert keys.stdout == "['shop']\n"


def test_what_fails_leaves_the_old_pex_in_place(
    wheel: Path, packages: Path, tmp_path: Path
) -> None:
    app = tmp_path / "app.pex"
    app.write_text("old", encoding="utf-8")
    wrong = defs_state_pex(wheel, "-o", app, "--lay-out", "packed")
    assert wrong.returncode == 1
    assert "    | pex: error: unrecognized arguments: --lay-out\n" in wrong.stderr
    assert f"error: pex {PEX[5:]} cannot build {app}: it ended with status 2\n" in wrong.stderr
    # Pex takes what is resolved already, and our wheel is not among it.
    without = defs_state_pex(wheel, "-o", app, "--pre-resolved-dists", packages)
    assert without.returncode == 1
    assert "error: app.pex carries no state\n" in without.stderr
    assert app.read_text(encoding="utf-8") == "old"
    assert sorted(os.listdir(tmp_path)) == ["app.pex"]  # noqa: PTH208


def test_what_cannot_be_packed_is_refused_at_once(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("text", encoding="utf-8")
    foreign = defs_state_pex(wheel, "-o", "folder", cwd=tmp_path)
    assert (foreign.returncode, foreign.stderr) == (
        1,
        (
            "error: folder is a folder that is no PEX, and would be replaced\n"
            "  hint: name a file, or a folder that does not exist yet, with -o\n"
        ),
    )
    twice = defs_state_pex(wheel, wheel, "-o", "app.pex", cwd=tmp_path)
    assert twice.returncode == 1
    assert f"error: two projects have the same name: warehouse ({STATE})\n" in twice.stderr

    missing = run(
        [DEFS_STATE, "pex", wheel, "-o", "app.pex"], env=base_environment() | {"PATH": os.defpath}
    )
    assert (missing.returncode, missing.stderr) == (
        1,
        (
            "error: pex is not installed\n"
            "  hint: run `pip install pex` in the environment of defs-state, or put pex on PATH\n"
        ),
    )
    old = defs_state_pex(wheel, "-o", "app.pex", pex="pex==2.61.1", cwd=tmp_path)
    assert old.returncode == 1
    assert old.stderr.startswith(
        "error: pex 2.61.1 is too old: PEX files that need their state to boot came with 2.82.0\n"
        "  hint: run `pip install --upgrade pex`; found "
    )
    for arguments, message in (
        ((), "Missing option '-o' / '--output'."),
        (("-o", "app.pex", "-m", "shop"), "name a PROJECT before the options of pex"),
        (("absent", "-o", "app.pex"), "absent does not exist; requirements go after `--`"),
    ):
        usage = defs_state_pex(*arguments, cwd=tmp_path)
        assert usage.returncode == 2
        assert usage.stderr.endswith(f"\n\nError: {message}\n")
    assert sorted(os.listdir(tmp_path)) == ["folder"]  # noqa: PTH208


def recorded(folder: Path, *arguments: str | Path) -> list[str]:
    """Return what pex is called with: its arguments, and then the requirements in its file."""
    recorder = folder / "bin" / "pex"
    recorder.parent.mkdir(exist_ok=True)
    recorder.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo 2.105.2 && exit\n'
        'for each; do echo "$each"; case "$each" in */requirements.txt) list="$each"; esac; done\n'
        'echo --; cat "$list"; exit 3\n',
        encoding="utf-8",
    )
    recorder.chmod(0o755)
    path = f"{recorder.parent}{os.pathsep}{os.environ['PATH']}"
    environment = base_environment() | {"PATH": path, "DEFS_STATE_PYTHON": "build"}
    result = run([DEFS_STATE, "pex", *arguments], cwd=folder, env=environment)
    assert result.returncode == 1
    return [line[6:] for line in result.stderr.splitlines() if line.startswith("    | ")]


def test_dependencies_of_sources_are_packed_unless_the_user_lists_what_is(tmp_path: Path) -> None:
    project = copy_project("quickstart", tmp_path)
    arguments = (project, "--sources", "-o", "app.pex")
    assert recorded(tmp_path, *arguments)[-2:] == ["--", "hatch-defs-state"]
    for own in (("-r", "own.txt"), ("-rown.txt",), ("--lock=pex.lock",)):
        assert recorded(tmp_path, *arguments, *own)[-1] == "--"


def test_options_of_pex_are_passed_on_as_they_are(wheel: Path, tmp_path: Path) -> None:
    own = ("-cfoo", "-o", "app.pex", "-Dsrc", "--", "-v", "-o")
    given = recorded(tmp_path, wheel, *own)
    assert given[:2] == ["--bind-resource-path", f"{VARIABLE}={STATE}/manifest.json"]
    assert given[4:8] == ["-cfoo", "-Dsrc", "-v", "-o"]
    assert given[-2:] == ["--", str(wheel)]
    requirement = recorded(tmp_path, "-o", "app.pex", wheel, "--", "requests")
    assert requirement[4] == "requests"
    assert requirement[-2:] == ["--", str(wheel)]
