"""Timing commands against a baseline: interleaved, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A command to time.

    Attributes:
        arguments: The program and its arguments.
        folder: Where it runs.
        variables: What its environment has besides that of the benchmark.
        prepare: Called before every run, outside of the measured time.
    """

    arguments: Sequence[str | Path]
    folder: Path
    variables: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None

    def run(self) -> Sample:
        """Run the command and return what it took.

        Raises:
            RuntimeError: It failed; with all that it printed.
        """
        self.prepare()
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(argument) for argument in self.arguments],
            cwd=self.folder,
            env=environment(self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            raise RuntimeError(f"{self.arguments} exits with {process.returncode}:\n{output}")
        return Sample(seconds, output)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: with compiled modules, as every installation has."""
    inherited = {n: value for n, value in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    return inherited | dict(variables)


@dataclass(frozen=True)
class Sample:
    """One run of a command."""

    seconds: float
    output: str


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        name: What is measured.
        baseline: What it is compared with.
        ours: The measured value, in words.
        theirs: The baseline's, in words.
        ratio: Median of the ratios, or the value itself where the target is absolute.
        target: The target, in words.
        holds: Whether it is met.
    """

    name: str
    baseline: str
    ours: str
    theirs: str
    ratio: str
    target: str
    holds: bool

    def row(self) -> str:
        """Return the figure as a row of a markdown table."""
        cells = (self.name, self.baseline, self.ours, self.theirs, self.ratio, self.target)
        return f"| {' | '.join(cells)} | {'yes' if self.holds else '**no**'} |"


def compare(
    name: str, baseline_name: str, ours: Command, baseline: Command, limit: float, runs: int
) -> Figure:
    """Time two commands in turns; the figure is the median of the ratios."""
    pairs = [(ours.run().seconds, baseline.run().seconds) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    return Figure(
        name,
        baseline_name,
        f"{statistics.median(a for a, _ in pairs):.2f} s",
        f"{statistics.median(b for _, b in pairs):.2f} s",
        f"{ratio:.2f}",
        f"≤ {limit:.2f}",
        ratio <= limit,
    )


def peak_memory(arguments: Sequence[str | Path], folder: Path, variables: Mapping[str, str]) -> int:
    """Return the largest memory in bytes that any process of a command had, its children included.

    Raises:
        RuntimeError: It failed.
    """
    script = (
        "import resource, subprocess, sys; "
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=folder,
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{arguments} fails:\n{result.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024
    return int(result.stdout.split()[-1]) * unit


def own_memory() -> int:
    """Return the largest memory in bytes that this process had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
