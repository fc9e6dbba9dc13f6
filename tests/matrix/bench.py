"""What the rows of the matrix share: the project, the tools, what is looked at in the end."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hatch_defs_state.artifacts.kinds import verify
from hatch_defs_state.refresh.record import Record
from tests.support.commands import (
    CACHE_VARIABLE,
    base_environment,
    find_uv,
    install,
    make_venv,
    run_checked,
)
from tests.support.frontends import kept_environment
from tests.support.projects import copy_project
from tests.support.wrapped import BACK_ENDS, PEX

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

TOOLS: Final = ("build==1.6.1", "pip==26.3", "pex==2.105.2", "uv==0.13.9", "setuptools")
HATCH: Final = "hatch==1.18.2"
HATCH_WITHOUT_HOOK_DEPENDENCIES: Final = "hatch==1.16.5"

LOAD: Final = """
from pathlib import Path
import warehouse
from hatch_defs_state.storage import generation
from warehouse.__main__ import main
folder = Path(warehouse.__file__).parent / "defs" / ".local_defs_state"
print(generation.read(folder).manifest.digest)
main()
"""
"""Prints the digest of the state that is installed, checked, and what is built from it."""

TABLES: Final = """\
customers: id, name, country
order_lines: order_id, product_id, quantity
  order_id -> orders.id
  product_id -> products.id
orders: id, customer_id, ordered_on
  customer_id -> customers.id
products: id, name, price_in_cents
"""


@dataclass(frozen=True)
class Made:
    """What a front end made.

    Attributes:
        artifacts: Wheels and source archives.
        python: A command that runs Python where the project is installed; without it, the wheel
            among the artifacts is installed.
    """

    artifacts: Sequence[Path] = ()
    python: Sequence[str | Path] = ()


@dataclass(frozen=True)
class Bench:
    """A folder in which one front end builds a copy of the project.

    Attributes:
        folder: The folder.
        packages: A folder with a wheel of the plugin, for installers to look into.
    """

    folder: Path
    packages: Path

    @property
    def project(self) -> Path:
        """The project: `fixtures/quickstart` with a library that its writer needs."""
        return self.folder / "quickstart"

    @property
    def out(self) -> Path:
        """Where artifacts go."""
        return self.folder / "out"

    def lay_out(self) -> None:
        """Copy the project, and make its writer say that it runs."""
        project = copy_project("quickstart", self.folder)
        self.out.mkdir()
        code = project / "src/warehouse/components.py"
        text = code.read_text("utf-8")
        counted = text.replace(
            '        uri = f"{self.database',
            '        with open(os.environ["RUNS"], "a") as runs:\n'
            '            runs.write(tomli_w.dumps({"ran": 1}))\n'
            '        uri = f"{self.database',
        ).replace("import json\n", "import json\nimport os\nimport tomli_w\n")
        assert counted.count("tomli_w") == 2
        code.write_text(counted, "utf-8")
        toml = project / "pyproject.toml"
        needs = toml.read_text("utf-8").replace(
            'dependencies = ["hatch-defs-state"]',
            'dependencies = ["hatch-defs-state", "tomli-w"]',
        )
        assert "tomli-w" in needs
        toml.write_text(needs, "utf-8")

    def wrap(self, back_end: str) -> None:
        """Let another back end build the project, wrapped by pex so that our plugin adds to it."""
        requirement, module, table = BACK_ENDS[back_end]
        toml = self.project / "pyproject.toml"
        text = toml.read_text("utf-8")
        head, hook = text.index("[project]"), text.index("[tool.hatch")
        wrapper = (
            f'[build-system]\nrequires = ["{PEX}", "{requirement}", "hatch-defs-state"]\n'
            'build-backend = "pex.build_backend.wrap"\n\n'
            f'[tool.pex.build_backend]\ndelegate-build-backend = "{module}"\n'
            'plugins = ["hatch_defs_state.pex_plugin"]\n\n'
        )
        own = table.replace("broken", "warehouse")
        toml.write_text(f"{wrapper}{text[head:hook]}{own}", "utf-8")

    @property
    def runs(self) -> int:
        """How often a writer ran."""
        log = self.folder / "runs"
        return log.read_text("utf-8").count("ran =") if log.exists() else 0

    def run(
        self, *command: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed; installers look for the plugin in `packages`."""
        tools = [tool("pex").parent, *([Path(uv).parent] if (uv := find_uv()) else [])]
        own = {
            "RUNS": str(self.folder / "runs"),
            CACHE_VARIABLE: str(self.folder / "cache"),
            "PIP_FIND_LINKS": str(self.packages),
            "UV_FIND_LINKS": str(self.packages),
            "PEX_ROOT": str(self.packages.parent / "pex-root"),
            "HATCH_DATA_DIR": str(self.folder / "hatch"),
            "PATH": os.pathsep.join([*map(str, tools), os.environ["PATH"]]),
        }
        environment = base_environment() | own | variables
        return run_checked(command, cwd=cwd or self.project, env=environment)

    def environment(self, *requirements: str | Path) -> Path:
        """Make a clean environment and return its interpreter."""
        number = len(list(self.folder.glob("clean-*")))
        python = make_venv(self.folder / f"clean-{number}")
        if requirements:
            install(python, *requirements, options=("--find-links", str(self.packages)))
        return python

    def digests(self, made: Made) -> set[str]:
        """Verify what was made, and return the digests of its state and of what writers wrote."""
        states = [state for path in made.artifacts for state in verify(path).states]
        kept = [
            Record.parse(path.read_bytes())
            for path in (self.folder / "cache").glob("projects/*/record.json")
        ]
        assert kept
        wrote = {record.manifest.digest for record in kept if record is not None}
        return wrote | {state.manifest.digest for state in states}

    def load(self, made: Made) -> tuple[str, str]:
        """Load the project without its sources; return the digest of its state and the rest."""
        if self.project.exists():
            shutil.rmtree(self.project)
        python = made.python
        if not python:
            wheel = next(path for path in made.artifacts if path.suffix == ".whl")
            python = [self.environment(wheel)]
        empty = self.folder / "empty"
        empty.mkdir()
        printed = self.run(*python, "-c", LOAD, cwd=empty).stdout
        digest, _, rest = printed.partition("\n")
        return digest, rest


def tool(name: str) -> Path:
    """Return a program of the environment that has the front ends."""
    return kept_environment(*TOOLS).with_name(name)


def build_plugin(folder: Path, source: Path) -> None:
    """Build a wheel of the plugin into `folder`."""
    command = (tool("uv"), "build", "--wheel", "--quiet", "--out-dir", folder)
    run_checked([*command, "--python", sys.executable, source])
