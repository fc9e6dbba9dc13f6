"""The front ends, each as its users run it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.matrix.bench import HATCH, HATCH_WITHOUT_HOOK_DEPENDENCIES, Made, tool
from tests.support.frontends import kept_environment
from tests.support.wrapped import BACK_ENDS, PEX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.matrix.bench import Bench

    Row = Callable[[Bench], Made]


def _artifacts(bench: Bench) -> tuple[Path, ...]:
    return tuple(path for path in sorted(bench.out.iterdir()) if path.name != ".gitignore")


def _build(bench: Bench, *options: str) -> Made:
    bench.run(tool("python"), "-m", "build", "--outdir", bench.out, *options, bench.project)
    return Made(_artifacts(bench))


def _hatch(bench: Bench, requirement: str) -> Made:
    hatch = kept_environment(requirement).with_name("hatch")
    bench.run(hatch, "build", bench.out)
    return Made(_artifacts(bench))


def _uv_build(bench: Bench) -> Made:
    bench.run(tool("uv"), "build", "--out-dir", bench.out)
    return Made(_artifacts(bench))


def _pip_wheel(bench: Bench) -> Made:
    bench.run(tool("pip"), "wheel", "--no-deps", "--wheel-dir", bench.out, bench.project)
    return Made(_artifacts(bench))


def _pip_install(bench: Bench, *what: str | Path) -> Made:
    python = bench.environment()
    bench.run(tool("pip"), "--python", python, "install", *what)
    return Made(python=[python])


def _uv_pip_install(bench: Bench) -> Made:
    python = bench.environment()
    bench.run(tool("uv"), "pip", "install", "--python", python, bench.project)
    return Made(python=[python])


def _uv_sync(bench: Bench) -> Made:
    place = bench.folder / "synced"
    bench.run(tool("uv"), "sync", "--no-editable", UV_PROJECT_ENVIRONMENT=str(place))
    return Made(python=[place / "bin" / "python"])


def _sdist(bench: Bench) -> Path:
    """Return a source archive whose writers have run elsewhere."""
    bench.run(
        tool("python"),
        "-m",
        "build",
        "--sdist",
        "--installer",
        "uv",
        "--outdir",
        bench.out,
        bench.project,
    )
    (bench.folder / "runs").unlink()
    (sdist,) = _artifacts(bench)
    return sdist


def _pip_install_sdist(bench: Bench) -> Made:
    sdist = _sdist(bench)
    return Made([sdist], _pip_install(bench, sdist).python)


def _pex(bench: Bench, *what: str | Path) -> Made:
    pex = bench.folder / "app.pex"
    bench.run(tool("pex"), "--find-links", bench.packages, "--output-file", pex, *what)
    return Made([pex], [tool("python"), pex])


def _pex_from_wheel(bench: Bench) -> Made:
    wheel = _build(bench, "--wheel").artifacts[0]
    pex = _pex(bench, wheel)
    return Made([wheel, *pex.artifacts], pex.python)


def _pex_from_sdist(bench: Bench) -> Made:
    sdist = _sdist(bench)
    pex = _pex(bench, sdist)
    return Made([sdist, *pex.artifacts], pex.python)


def _wrapped(bench: Bench, back_end: str) -> Made:
    bench.wrap(back_end)
    return _build(bench, "--installer", "uv")


def _pex_of_sources(bench: Bench) -> Made:
    pex = bench.folder / "app.pex"
    find = ("--find-links", bench.packages)
    command = ("pex", bench.project, "--sources", "--output", pex)
    bench.run(_defs_state(bench), *command, *find)
    return Made([pex], [tool("python"), pex])


def _defs_state(bench: Bench) -> Path:
    """Return the command line, in an environment that has pex and what the project needs."""
    requirements = ("hatch-defs-state", "tomli-w", PEX)
    return bench.environment(*requirements).with_name("defs-state")


ROWS: Final[Mapping[str, Row]] = {
    "python -m build, source archive and wheel": _build,
    "python -m build --wheel": lambda bench: _build(bench, "--wheel"),
    "hatch 1.18.2 build": lambda bench: _hatch(bench, HATCH),
    "hatch 1.16.5 build": lambda bench: _hatch(bench, HATCH_WITHOUT_HOOK_DEPENDENCIES),
    "uv build": _uv_build,
    "pip wheel": _pip_wheel,
    "pip install": lambda bench: _pip_install(bench, bench.project),
    "pip install of the source archive": _pip_install_sdist,
    "uv pip install": _uv_pip_install,
    "uv sync": _uv_sync,
    "pex from the project": lambda bench: _pex(bench, bench.project),
    "pex from the project, pip 26.0": lambda bench: _pex(
        bench, bench.project, "--pip-version", "26.0"
    ),
    "pex from the wheel": _pex_from_wheel,
    "pex from the source archive": _pex_from_sdist,
    "pex -D, by defs-state pex --sources": _pex_of_sources,
    **{f"wrapped {name}": partial(_wrapped, back_end=name) for name in BACK_ENDS},
}

FROM_SDIST: Final = frozenset({"pip install of the source archive", "pex from the source archive"})
"""Rows in which no writer runs."""
