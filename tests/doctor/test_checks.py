"""Every check: what it finds, where, what it says to do, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.doctor.toml_lines import line_of
from tests.support.doctored import SOUND, STATE, findings, make_project

if TYPE_CHECKING:
    from pathlib import Path

HOOK = "[tool.hatch.build.hooks.defs-state]\n"
DG = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
PACKED = "may pack a wheel that it built before, with the state of then, when the code is unchanged"


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what is installed where the tests run out of them; git alone stays."""
    programs = tmp_path / "programs"
    programs.mkdir()
    git = shutil.which("git")
    assert git is not None
    (programs / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(programs))
    for name in [name for name in os.environ if name.startswith(("DEFS_STATE_R", "HATCH_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_nothing_is_found_in_a_sound_project(folder: Path) -> None:
    assert findings(make_project(folder)) == []


# build-system


def test_a_hook_that_the_build_does_not_require(folder: Path) -> None:
    project = make_project(folder, SOUND.replace(', "hatch-defs-state"]', "]"))
    assert findings(project) == [
        (
            "problem build-system pyproject.toml:2: the hook is turned on and is not installed "
            "where "
            'the project is built => add "hatch-defs-state" to requires'
        )
    ]


def test_a_requirement_without_the_hook(folder: Path) -> None:
    project = make_project(folder, SOUND.replace(HOOK, ""))
    assert findings(project) == [
        (
            "problem build-system pyproject.toml:2: wheels carry no state: the hook is not turned "
            "on "
            "=> add the line [tool.hatch.build.hooks.defs-state]"
        )
    ]


def test_a_hook_that_hatch_toml_turns_on(folder: Path) -> None:
    project = make_project(folder, SOUND.replace(HOOK, ""))
    (project / "hatch.toml").write_text("[build.hooks.defs-state]\n", "utf-8")
    assert findings(project) == []


def test_neither_requirement_nor_hook(folder: Path) -> None:
    text = SOUND.replace(HOOK, "").replace(', "hatch-defs-state"]', "]")
    assert findings(make_project(folder, text)) == [
        (
            "problem build-system pyproject.toml:2: wheels carry no state: the hook is not turned "
            "on "
            '=> add "hatch-defs-state" to requires of [build-system], and add the line '
            "[tool.hatch.build.hooks.defs-state]"
        )
    ]


@pytest.mark.parametrize("backend", ["setuptools.build_meta", "poetry.core.masonry.api"])
def test_another_back_end(backend: str, folder: Path) -> None:
    project = make_project(folder, SOUND.replace("hatchling.build", backend))
    assert findings(project) == [
        (
            f"problem build-system pyproject.toml:3: wheels carry no state: {backend} runs no "
            "hook of "
            "hatchling => wrap it:\n"
            "[build-system]\n"
            'requires = ["hatchling", "hatch-defs-state", "pex"]\n'
            'build-backend = "pex.build_backend.wrap"\n'
            "[tool.pex.build_backend]\n"
            f'delegate-build-backend = "{backend}"\n'
            'plugins = ["hatch_defs_state.pex_plugin"]'
        )
    ]


def test_a_wrapped_back_end_with_our_plugin_is_left_alone(folder: Path) -> None:
    text = SOUND.replace("hatchling.build", "pex.build_backend.wrap").replace(HOOK, "")
    wrap = '[tool.pex.build_backend]\nplugins = ["hatch_defs_state.pex_plugin"]\n'
    assert findings(make_project(folder, text + wrap)) == []
    assert findings(make_project(folder, text)) == [
        (
            "problem build-system pyproject.toml:3: wheels carry no state: the wrapped back end "
            "has no "
            'plugin that adds it => add "hatch_defs_state.pex_plugin" to plugins of '
            "[tool.pex.build_backend]"
        )
    ]


# hook-table


def test_a_targets_table_that_replaces_the_hooks_global_one(folder: Path) -> None:
    text = f'{SOUND}timeout = "5m"\njobs = 2\nrefresh = "reuse"\n'
    text += "[tool.hatch.build.targets.wheel.hooks.defs-state]\njobs = 4\n"
    assert findings(make_project(folder, text)) == [
        (
            "problem hook-table pyproject.toml:16: "
            "[tool.hatch.build.targets.wheel.hooks.defs-state] replaces "
            "[tool.hatch.build.hooks.defs-state] for wheels: timeout and refresh in it are ignored "
            "there => remove the line [tool.hatch.build.targets.wheel.hooks.defs-state] and move "
            "what "
            "stands below it to [tool.hatch.build.hooks.defs-state]"
        )
    ]


def test_a_targets_table_of_another_hook_is_left_alone(folder: Path) -> None:
    text = f'{SOUND}jobs = 2\n[tool.hatch.build.targets.wheel.hooks.version]\npath = "v.py"\n'
    assert findings(make_project(folder, text)) == []


def test_a_hook_for_wheels_alone(folder: Path) -> None:
    table = "[tool.hatch.build.targets.wheel.hooks.defs-state]\n"
    assert findings(make_project(folder, SOUND.replace(HOOK, table))) == [
        (
            "advice hook-table pyproject.toml:12: the hook is on for wheels alone: source archives "
            "carry no state, and what is built from one runs the writers again => name the table "
            "[tool.hatch.build.hooks.defs-state], or set refresh-in-sdist = false in it"
        )
    ]
    off = SOUND.replace(HOOK, f"{table}refresh-in-sdist = false\n")
    assert findings(make_project(folder, off)) == []


def test_a_hook_that_is_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(folder, f"{SOUND}jobs = 2\nenable-by-default = false\n")
    monkeypatch.setenv("HATCH_BUILD_NO_HOOKS", "true")
    assert findings(project) == [
        (
            "problem hook-table pyproject.toml:14: the hook is off: enable-by-default is false, "
            "and no "
            "shell can export the variable that turns it on => remove the line enable-by-default = "
            "false"
        ),
        (
            "problem hook-table -: the hook is off: HATCH_BUILD_NO_HOOKS is set in this "
            "environment "
            "=> unset HATCH_BUILD_NO_HOOKS"
        ),
    ]


# force-include


@pytest.mark.parametrize(
    ("wheel", "entry"),
    [
        ("", '"src/shop" = "shop"'),
        ("", '"src/shop/defs" = "/shop/defs"'),
        ('packages = ["src/shop"]\n', '"src/shop/defs" = "shop/defs"'),
    ],
)
def test_a_folder_that_is_selected_and_forced(wheel: str, entry: str, folder: Path) -> None:
    source = entry.split('"')[1]
    text = f"{SOUND}[tool.hatch.build.targets.wheel]\n{wheel}"
    text += f"[tool.hatch.build.targets.wheel.force-include]\n# why\n{entry}\n"
    doubled = "src/shop/defs/__init__.py"
    line = text.splitlines().index(entry) + 1
    assert findings(make_project(folder, text)) == [
        (
            f"problem force-include pyproject.toml:{line}: the folder {source} is in wheels twice, "
            f"and their builds fail: {doubled} is selected, and included by force => remove "
            f"{entry}; "
            "what is below it stays in the wheel"
        )
    ]


@pytest.mark.parametrize(
    "entry",
    ['"src/shop" = "other"', '"data" = "shop/data"', f'"{STATE}" = "shop/defs/.local_defs_state"'],
)
def test_a_folder_that_is_forced_only_is_left_alone(entry: str, folder: Path) -> None:
    text = f"{SOUND}[tool.hatch.build.targets.wheel]\nforce-include = {{ {entry} }}\n"
    files = {"data/a.csv": "", ".gitignore": ".local_defs_state/\n"}
    assert findings(make_project(folder, text, files)) == []


# shared-pyproject


def forced(name: str) -> str:
    text = SOUND.replace('"shop"', f'"{name}"') + DG
    return text + '[tool.hatch.build]\nforce-include = { "pyproject.toml" = "pyproject.toml" }\n'


def test_a_forced_pyproject_of_two_projects(folder: Path) -> None:
    make_project(folder, "", {"other/pyproject.toml": forced("other")})
    project = folder / "projects" / "shop"
    project.mkdir(parents=True)
    make_project(project, forced("shop"))
    (project / ".git").rmdir()
    fix = 'remove "pyproject.toml" = "pyproject.toml"; the wheel has a dg.toml of its own instead'
    assert findings(project) == [
        (
            "problem shared-pyproject pyproject.toml:18: wheels put pyproject.toml at the top of "
            f"site-packages, and so does {folder}/other/pyproject.toml: installed together, one "
            "gets "
            f"the other's configuration => {fix}"
        )
    ]
    shutil.rmtree(folder / "other")
    assert findings(project) == [
        (
            "advice shared-pyproject pyproject.toml:18: wheels put pyproject.toml at the top of "
            f"site-packages, where that of another project would replace it => {fix}"
        )
    ]


def test_a_forced_pyproject_of_a_project_that_is_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    make_project(folder, forced("shop"))
    make_project(tmp_path, "", {"site-packages/pyproject.toml": forced("shop")})
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(installed))
    (found,) = findings(folder)
    assert found.startswith("advice shared-pyproject ")
    (installed / "pyproject.toml").write_text(forced("other"), encoding="utf-8")
    (found,) = findings(folder)
    assert "and so does the installed other: installed together, one gets the other's" in found


# uv-cache

UV = "`uv sync --no-editable` and `uv pip install -r` install the wheel that uv built before, with "
UV += "the state of then"
NO_UV = SOUND.replace('[tool.uv]\nreinstall-package = ["shop"]\n\n', "")


@pytest.mark.parametrize(
    ("severity", "files"),
    [
        ("advice", {}),
        ("problem", {"uv.lock": "version = 1\n"}),
        ("problem", {".github/workflows/build.yml": "steps: [{run: uv sync --no-editable}]"}),
    ],
)
def test_a_project_that_uv_installs_from_its_cache(
    severity: str, files: dict[str, str], folder: Path
) -> None:
    assert findings(make_project(folder, NO_UV, files)) == [
        (
            f'{severity} uv-cache pyproject.toml: {UV} => add reinstall-package = ["shop"] to '
            "pyproject.toml, below a new line [tool.uv]"
        )
    ]


def test_uvs_table_without_the_line(folder: Path) -> None:
    text = f'{NO_UV}[tool.uv]\nreinstall-package = ["other"]\ncache-keys = [{{ file = "x" }}]\n'
    assert findings(make_project(folder, text)) == [
        (
            f'problem uv-cache pyproject.toml:10: {UV} => add reinstall-package = ["shop"] to '
            "pyproject.toml, below [tool.uv]"
        )
    ]


@pytest.mark.parametrize(
    "setting", ['cache-keys = [{ env = "DEFS_STATE_BUILD_ID" }]', "reinstall = true"]
)
def test_other_settings_of_uv_that_cure_it(setting: str, folder: Path) -> None:
    assert findings(make_project(folder, f"{NO_UV}[tool.uv]\n{setting}\n")) == []


def test_in_a_workspace_the_roots_settings_count(folder: Path) -> None:
    root = '[tool.uv.workspace]\nmembers = ["shop"]\n'
    make_project(folder, root)
    shutil.rmtree(folder / "src")
    member = folder / "shop"
    member.mkdir()
    make_project(member, SOUND)
    (member / ".git").rmdir()
    assert findings(member) == [
        (
            f"problem uv-cache {folder}/pyproject.toml:1: {UV} => add reinstall-package = "
            '["shop"] to '
            f"{folder}/pyproject.toml, below [tool.uv]"
        )
    ]
    (folder / "pyproject.toml").write_text(f'[tool.uv]\nreinstall-package = ["Shop"]\n{root}')
    assert findings(member) == []


def test_uv_toml_wins_over_the_table(folder: Path) -> None:
    project = make_project(folder, files={"uv.toml": "\n"})
    assert findings(project) == [
        f'problem uv-cache uv.toml: {UV} => add reinstall-package = ["shop"] to uv.toml'
    ]
    (project / "uv.toml").write_text('reinstall-package = ["shop"]\n', encoding="utf-8")
    assert findings(project) == []


# old-pex


@pytest.mark.parametrize(
    "pin", ["pex==2.60.0", "pex<2.61", "pex~=2.33.0", "pex==2.50.*", "pex>2.10,<=2.61.0"]
)
def test_requirements_that_only_old_versions_of_pex_meet(pin: str, folder: Path) -> None:
    text = f'{SOUND}[dependency-groups]\nrelease = [\n  "build",\n  "{pin}",\n]\n'
    files = {"requirements-release.txt": f"build\n{pin}  # newest then\n"}
    assert findings(make_project(folder, text, files)) == [
        f"problem old-pex {place}: {pin} {PACKED} => require pex>=2.61.1"
        for place in ("pyproject.toml:16", "requirements-release.txt:2")
    ]


@pytest.mark.parametrize(
    "pin",
    ["pex", "pex>=2.1", "pex==2.61.1", "pex==2.105.2", "pex~=2.33", "pex==2.1.100", "pexpect"],
)
def test_other_requirements_are_left_alone(pin: str, folder: Path) -> None:
    assert findings(make_project(folder, files={"requirements.txt": f"{pin}\n"})) == []


def test_a_locked_pex(folder: Path) -> None:
    lock = 'version = 1\n\n[[package]]\nname = "pex"\nversion = "2.60.2"\n'
    assert findings(make_project(folder, files={"uv.lock": lock})) == [
        (
            f"problem old-pex uv.lock:4: the locked pex 2.60.2 {PACKED} => require pex>=2.61.1 in "
            "pyproject.toml, and lock anew"
        )
    ]


def test_a_pex_on_the_search_path(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "programs" / "pex"
    for version, found in (("2.59.3", True), ("2.105.2", False), ("nonsense", False)):
        program.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
        program.chmod(0o755)
        expected = f"problem old-pex -: pex {version} at {program} {PACKED} => install pex>=2.61.1"
        assert findings(make_project(folder)) == ([expected] if found else [])


def test_a_pex_in_this_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "packages" / "pex-2.33.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: pex\nVersion: 2.33.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(metadata.parents[1]))
    assert findings(make_project(folder)) == [
        f"problem old-pex -: pex 2.33.0 in this environment {PACKED} => install pex>=2.61.1"
    ]


# gitignore


def test_a_gitignore_that_hides_state_where_no_hook_adds_it(folder: Path) -> None:
    files = {
        ".gitignore": "# made\n\n*.log\ntarget/\n",
        f"{STATE}/manifest.json": "{}",
        f"{STATE}/shop/project/target/manifest.json": "{}",
    }
    expected = (
        f"problem gitignore .gitignore:4: target/ hides {STATE}/shop/project/target/manifest.json "
        "from wheels => add the line [tool.hatch.build.hooks.defs-state] to pyproject.toml; the "
        "hook adds state whatever git ignores"
    )
    assert expected in findings(make_project(folder, SOUND.replace(HOOK, ""), files))
    assert [text for text in findings(make_project(folder)) if "gitignore" in text] == []


# dagster-plus


def test_a_flat_package_that_dagster_plus_deploys(folder: Path) -> None:
    files = {"dagster_cloud.yaml": "locations: []\n", "shop/defs/__init__.py": ""}
    shutil.rmtree(make_project(folder, SOUND + DG, files) / "src")
    assert findings(folder) == [
        (
            "advice dagster-plus dagster_cloud.yaml: PEX deployments load shop from a copy of the "
            "tree, not from the wheel that has the state => run `defs-state refresh` before the "
            "deployment, and deploy with DEFS_STATE_REFRESH=frozen; or move the package to src/"
        )
    ]


def test_a_package_in_src_that_dagster_plus_deploys_is_left_alone(folder: Path) -> None:
    assert findings(make_project(folder, SOUND + DG, {"dagster_cloud.yaml": ""})) == []


# tracked-state, left-over-state


def test_state_that_git_tracks(folder: Path) -> None:
    project = make_project(folder, files={f"{STATE}/orders/state": "old"})
    shutil.rmtree(project / ".git")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "-f", "."], cwd=project, check=True)
    (tracked, whole) = findings(project)
    assert tracked == (
        f"advice tracked-state {STATE}: git tracks {STATE}: checkouts, and what is copied from "
        f"them, have old state => run git rm -r --cached {STATE}"
    )
    assert whole.startswith(f"advice left-over-state {STATE}: ")


def test_state_that_is_not_what_one_refresh_wrote(folder: Path) -> None:
    project = make_project(folder, files={f"{STATE}/orders/state": "old"})
    expected = (
        f"left-over-state {STATE}: the state in the tree is not what one refresh wrote: "
        f"{project / STATE} has no manifest.json: no complete generation is there "
        "=> run `defs-state refresh`"
    )
    assert findings(project) == [f"advice {expected}"]
    make_project(folder, f'{SOUND}refresh = "frozen"\n')
    assert findings(project) == [f"problem {expected}"]


def test_state_in_other_places_of_the_tree(folder: Path) -> None:
    files = {
        "src/old/.local_defs_state/orders/state": "",
        "src/shop/defs/.local_defs_state.old/orders/state": "",
        "build/lib/shop/defs/.local_defs_state/orders/state": "",
    }
    assert findings(make_project(folder, files=files)) == [
        (
            "advice left-over-state src/old/.local_defs_state: this is no state of the project, "
            "which "
            f"has it in {STATE} => remove src/old/.local_defs_state"
        ),
        (
            "advice left-over-state src/shop/defs/.local_defs_state.old: an interrupted refresh "
            "left "
            "this => run `defs-state refresh`"
        ),
    ]


# what keeps the checks from looking


def test_wrong_settings_and_a_missing_defs_folder_are_findings(folder: Path) -> None:
    project = make_project(folder, f"{SOUND}jbos = 2\n")
    (found,) = findings(project)
    assert found.startswith(
        "problem configuration -: pyproject.toml: tool.hatch.build.hooks.defs-state.jbos: unknown "
        "setting"
    )
    shutil.rmtree(make_project(folder) / "src")
    assert findings(project) == [
        (
            "problem configuration pyproject.toml: no package with a folder `defs` in . => put "
            "the components into a folder `defs` in the package, or set defs-module under "
            "[tool.hatch.build.hooks.defs-state] to the module that holds them"
        )
    ]


TOML = """\
[a]
b = 1
list = [
  "one",
  "two",
]
# d.e is said below
[c]
d.e = 1
text = '''
d.e = 2
'''
"""


@pytest.mark.parametrize(
    ("path", "containing", "line"),
    [
        (["a"], "", 1),
        (["a", "b"], "", 2),
        (["a", "list"], "", 3),
        (["a", "list"], "two", 5),
        (["c", "d", "e"], "", 9),
        (["c", "text"], "", 10),
        (["c", "missing"], "", None),
    ],
)
def test_lines_of_toml(path: list[str], containing: str, line: int | None) -> None:
    assert line_of(TOML, path, containing) == line
