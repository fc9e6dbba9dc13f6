"""Loading definitions from state at run time."""
