"""State at rest: folder names of keys, the manifest, and the generation in `.local_defs_state`."""
