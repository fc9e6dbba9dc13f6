"""What Dagster's own processes and projects use: their components as a source of state."""
