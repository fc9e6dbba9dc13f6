"""The main job on `fixtures/quickstart`: build a wheel, look into it, install it, load it.

Needs Python alone. Every command is printed before it runs, to be repeated by hand.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, folder: Path) -> None:
    """Print a command and run it; end the script when it fails."""
    arguments = [str(part) for part in command]
    print(f"\n$ {shlex.join(arguments)}", flush=True)
    status = subprocess.run(arguments, cwd=folder, check=False).returncode
    if status:
        sys.exit(status)


def environment(folder: Path) -> Path:
    """Make a virtual environment and return the folder of its programs."""
    print(f"\n$ python -m venv {folder}", flush=True)
    venv.create(folder, with_pip=True)
    return folder / SCRIPTS


def main() -> None:
    """Run the main job in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="quickstart-") as name:
        place = Path(name)
        packages = place / "packages"
        packages.mkdir()
        # Builds find the plugin of this checkout there, as they find released ones in an index.
        links = [os.environ.get("PIP_FIND_LINKS", ""), str(packages)]
        os.environ["PIP_FIND_LINKS"] = " ".join(filter(None, links))
        tools = environment(place / "tools")
        pip = ("-m", "pip", "--disable-pip-version-check")
        build = ("-m", "build", "--wheel", "--outdir")
        run(tools / "python", *pip, "install", "--quiet", "build", folder=ROOT)
        run(tools / "python", *build, packages, ROOT, folder=place)
        run(tools / "python", *build, place / "dist", ROOT / "fixtures/quickstart", folder=place)
        (wheel,) = (place / "dist").iterdir()
        clean = environment(place / "clean")
        run(clean / "python", *pip, "install", "--quiet", wheel, folder=place)
        run(clean / "defs-state", "verify", wheel, folder=place)
        run(clean / "python", "-m", "warehouse", folder=place)


if __name__ == "__main__":
    main()
