"""Whatever ends a refresh, and whenever: a reader finds the old or the new generation, whole."""
