"""The page on Docker, without Docker: `RUN` lines run in a shell (`tests/support/images.py`)."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from hatch_defs_state.storage import generation
from tests.support.doctored import findings
from tests.support.images import Build
from tests.support.pages import SECRET, block, blocks, secret, shell, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "docker.md"


def options() -> list[list[str]]:
    """Return the arguments of the page's `docker build` commands, in order."""
    scripts = [each.text for each in blocks(PAGE) if each.language == "sh"]
    return [shlex.split(text) for text in scripts if text.startswith("docker build")]


def test_a_wheel_is_built_in_the_image_and_the_secret_stays_out(
    project: Path, wheels: Path, tmp_path: Path
) -> None:
    write(PAGE, project, "Dockerfile", ".dockerignore")
    stale = project / "src/warehouse/defs/.local_defs_state/removed"
    stale.mkdir(parents=True)
    (stale / "state").write_text("old", encoding="utf-8")
    (project / ".git").mkdir()
    assert not [text for text in findings(project) if "docker" in text]

    (build_options, _) = options()
    assert f"id={SECRET.lower()},env={SECRET}" in build_options
    value = secret(project)[SECRET]
    place = tmp_path / "image"
    place.mkdir()
    build = Build(project, project / "Dockerfile", place, wheels, {SECRET.lower(): value})
    image = build.run()
    assert build_options[build_options.index("--no-cache-filter") + 1] in build.stages

    first = build.stages["build"]
    assert not (first.root / "project/src/warehouse/defs/.local_defs_state").exists()
    assert not (first.root / "project/.git").exists()
    (digest,) = re.findall(r"1 state verified in warehouse-1.0.0\S+, digest (\w+)", first.output)
    (check, _) = [each.text for each in blocks(PAGE) if each.text.startswith("docker run")]
    verify = shlex.split(check)[-1].replace("/wheels", f"{image.root}/wheels")
    assert build.shell(image, verify).endswith(f"1 state verified, digest {digest}")
    assert image.command == '["python", "-m", "warehouse"]'
    assert "orders: " in build.shell(image, "python -m warehouse", **{SECRET: "/gone"})

    shutil.rmtree(first.root / "usr")
    for stage in build.stages.values():
        files = [path for path in stage.root.rglob("*") if path.is_file()]
        assert not [path for path in files if value.encode() in path.read_bytes()]


def test_state_that_is_fetched_before_is_what_the_image_has(
    project: Path, wheels: Path, tmp_path: Path
) -> None:
    write(PAGE, project, "state.Dockerfile", ".dockerignore")
    shell(block(PAGE, "prepare"), project, wheels, secret(project))
    digest = generation.read(project / "state").manifest.digest[:12]
    (project / ".git").mkdir()
    assert not [text for text in findings(project) if "docker" in text]

    (_, build_options) = options()
    assert build_options[2:4] == ["--file", "state.Dockerfile"]
    assert "--secret" not in build_options
    place = tmp_path / "image"
    place.mkdir()
    build = Build(project, project / "state.Dockerfile", place, wheels)
    image = build.run()
    (_, check) = [each.text for each in blocks(PAGE) if each.text.startswith("docker run")]
    printed = build.shell(image, check.partition("warehouse ")[2].replace("/tmp", f"{image.root}"))
    assert f", digest {digest}" in printed
    (installed,) = image.root.glob("usr/lib/*/site-packages/warehouse/defs/.local_defs_state")
    assert generation.read(installed).manifest.digest.startswith(digest)
    assert "orders: " in build.shell(image, "python -m warehouse", **{SECRET: "/gone"})
