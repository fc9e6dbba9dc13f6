"""Which interpreter runs the writers: found, or made from the project's lock and kept."""
