"""Publishes two generations in turn.

Runs by itself. Usage: `python -m tests.crash.swapper WAY TARGET TIMES PAUSE`.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.storage import publish
from tests.crash import generations
from tests.crash.campaign import swapping
from tests.support.commands import base_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def swapping_process(
    way: str, target: Path, times: int, pause: float = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run this in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", __name__, way, str(target), str(times), str(pause)]
    with subprocess.Popen(command, cwd=_ROOT, env=base_environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def main(way: str, target: Path, times: int, pause: float) -> None:
    """Publish `new` and `old` in turn, with pauses of up to so many seconds."""
    with tempfile.TemporaryDirectory() as scratch, swapping(way, target):
        made = [generations.make(name, Path(scratch)) for name in ("new", "old")]
        for number in range(times):
            publish.publish(made[number % 2], target)
            time.sleep(random.uniform(0, pause))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
