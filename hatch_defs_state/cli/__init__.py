"""The `defs-state` command; one file a command.

`main` is the entry point. Commands are imported when they are called: `--help` is to be quick.
"""

from __future__ import annotations

from hatch_defs_state.cli.root import main

__all__ = ["main"]
