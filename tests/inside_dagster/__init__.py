"""Tests that import Dagster: `tests/test_dagster_storage.py` runs them where it is installed."""
