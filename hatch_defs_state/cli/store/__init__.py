"""The commands of `defs-state store`."""
