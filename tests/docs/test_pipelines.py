"""The pages on continuous integration: the commands in their files run on the project."""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hatch_defs_state.artifacts.wheel import verify_wheel
from tests.support.pages import SECRET, STATE, block, secret, shell, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def check_dist(project: Path, printed: str) -> None:
    """Check that what is uploaded is whole, and that the log says what the page says."""
    names = sorted(path.name for path in (project / "dist").iterdir() if path.name[0] != ".")
    assert names == ["warehouse-1.0.0-py3-none-any.whl", "warehouse-1.0.0.tar.gz"]
    digest = verify_wheel(project / "dist" / names[0]).manifest.digest
    with tarfile.open(project / "dist" / names[1]) as archive:
        pinned = archive.extractfile(f"warehouse-1.0.0/{STATE}/manifest.json")
        assert pinned is not None
        assert json.load(pinned)["digest"] == digest
    assert f"1 state verified, digest {digest[:12]}\n" in f"{printed}\n"
    assert "SqliteCatalog[warehouse]" in printed


def run_steps(job: Any, project: Path, wheels: Path, secrets: dict[str, str]) -> str:
    """Run the steps of a GitHub job that are commands."""
    output = ""
    for step in job["steps"]:
        environment = {
            name: re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda m: secrets[m[1]], text)
            for name, text in step.get("env", {}).items()
        }
        if "run" in step:
            output = shell(step["run"], project, wheels, environment)
        else:
            assert re.fullmatch(r"(actions|astral-sh)/[a-z-]+@v\d+", step["uses"])
    return output


def test_github_actions(project: Path, wheels: Path) -> None:
    page = "github-actions.md"
    write(page, project, ".github/workflows/build.yml", ".github/workflows/check.yml")
    workflow = yaml.safe_load(block(page, ".github/workflows/build.yml"))
    assert set(workflow[True]) == {"push", "schedule", "workflow_dispatch"}
    check_dist(project, run_steps(workflow["jobs"]["build"], project, wheels, secret(project)))

    check = yaml.safe_load(block(page, ".github/workflows/check.yml"))
    assert "secrets." not in block(page, ".github/workflows/check.yml")
    assert "0 problems" in run_steps(check["jobs"]["doctor"], project, wheels, {})


def test_gitlab_ci(project: Path, wheels: Path) -> None:
    write("gitlab-ci.md", project, ".gitlab-ci.yml")
    jobs = yaml.safe_load(block("gitlab-ci.md", ".gitlab-ci.yml"))
    assert set(jobs) == {"build", "doctor"}
    environment = jobs["build"]["variables"] | secret(project)
    printed = [shell(line, project, wheels, environment) for line in jobs["build"]["script"]]
    check_dist(project, printed[-1])
    assert jobs["build"]["artifacts"]["paths"] == ["dist/"]
    assert SECRET not in block("gitlab-ci.md", ".gitlab-ci.yml")
    (doctor,) = jobs["doctor"]["script"]
    assert "0 problems" in shell(doctor, project, wheels)
