"""`python -m hatch_defs_state`: the `defs-state` command."""

from hatch_defs_state.cli import main

main()
