"""Dockerfiles without Docker: their `RUN` lines run in a shell, on folders that stand for images.

Each stage is a folder with an empty virtual environment for Python. What a Dockerfile calls `/x` is
`x` in that folder. `COPY` and `.dockerignore` do what they say; secrets lie where they are mounted,
during that `RUN` alone. Base images, users, networks and layers are not there.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.doctor.dockerfiles import ignore_of
from tests.support.commands import find_uv, run_checked
from tests.support.pages import shell

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Stage:
    """One stage of a Dockerfile.

    Attributes:
        root: The folder that stands for the image.
        workdir: The folder that commands run in.
        command: What `CMD` says.
        output: What the `RUN` lines printed.
    """

    root: Path
    workdir: Path = field(init=False)
    command: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        self.workdir = self.root

    def place(self, path: str) -> Path:
        """Return where a path of the image is."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.workdir / path


@dataclass
class Build:
    """A build of an image from a Dockerfile.

    Attributes:
        context: The build context.
        dockerfile: The Dockerfile in it.
        folder: Receives the stages.
        wheels: Where installers find the plugin under test.
        secrets: What `--secret` would give, by id.
    """

    context: Path
    dockerfile: Path
    folder: Path
    wheels: Path
    secrets: Mapping[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    def run(self) -> Stage:
        """Carry out all instructions and return the last stage."""
        text = re.sub(r"^#.*\n", "", self.dockerfile.read_text(encoding="utf-8"), flags=re.M)
        stage = Stage(self.folder)
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            name, _, rest = line.partition(" ")
            if name == "FROM":
                stage = self._from(rest)
            elif name == "WORKDIR":
                stage.workdir = stage.place(rest)
                stage.workdir.mkdir(parents=True, exist_ok=True)
            elif name == "COPY":
                self._copy(stage, rest)
            elif name == "RUN":
                self._run(stage, rest)
            elif name == "CMD":
                stage.command = rest
            else:
                assert not line, f"not understood: {line}"
        return stage

    def _from(self, rest: str) -> Stage:
        _, _, name = rest.partition(" AS ")
        stage = Stage(self.folder / (name or f"stage-{len(self.stages)}"))
        stage.root.mkdir()
        uv = find_uv()
        assert uv is not None
        run_checked([uv, "venv", "--quiet", "--seed", stage.root / "usr"])
        self.stages[name or str(len(self.stages))] = stage
        return stage

    def _copy(self, stage: Stage, rest: str) -> None:
        found = re.match(r"--from=(\S+) ", rest)
        *sources, target = rest[found.end() if found else 0 :].split()
        for source in sources:
            if found:
                shutil.copytree(self.stages[found[1]].place(source), stage.place(target))
            else:
                self._copy_context(source, stage.place(target))

    def _copy_context(self, source: str, target: Path) -> None:
        ignore = ignore_of(self.dockerfile, self.context)
        base = self.context / source
        for parent, _, names in os.walk(base):
            for path in (Path(parent, name) for name in names):
                if ignore and ignore.hiding(path.relative_to(self.context).as_posix()):
                    continue
                place = target / path.relative_to(base)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)

    def _run(self, stage: Stage, rest: str) -> None:
        mount = re.match(r"--mount=type=secret,id=(\w+),required=true\s+", rest)
        command = rest[mount.end() :] if mount else rest
        command = re.sub(r"(?<![\w.])/(wheels|run/secrets)\b", rf"{stage.root}/\1", command)
        secret = stage.root / "run" / "secrets" / (mount[1] if mount else "none")
        if mount:
            secret.parent.mkdir(parents=True)
            secret.write_text(self.secrets[mount[1]], encoding="utf-8")
        stage.output += self.shell(stage, command)
        if mount:
            shutil.rmtree(stage.root / "run")

    def shell(self, stage: Stage, command: str, **variables: str) -> str:
        """Run a command in a stage and return what it printed."""
        path = os.pathsep.join([str(stage.root / "usr" / "bin"), os.defpath])
        variables |= {"PATH": path, "UV_PYTHON": ""}
        return shell(command, stage.workdir, self.wheels, variables)
