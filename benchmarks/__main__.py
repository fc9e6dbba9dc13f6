"""`python -m benchmarks [NAME …]`: measure, and print the table of `README.md`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks import location, refresh

FIGURES = refresh.FIGURES | location.FIGURES
COLUMNS = ("what", "baseline", "ours", "baseline's", "ratio", "target", "holds")


def main() -> None:
    """Measure the named figures, or all."""
    names = sys.argv[1:] or list(FIGURES)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as place:
        os.environ["DEFS_STATE_CACHE_DIR"] = f"{place}/cache"
        for name in names:
            folder = Path(place, name)
            folder.mkdir()
            for figure in FIGURES[name](folder):
                print(figure.row(), flush=True)


main()
