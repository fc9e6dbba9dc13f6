"""State inside built archives: which files go where, and reading them back to check."""
