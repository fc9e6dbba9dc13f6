"""Benchmarks against named baselines, measured side by side in one run; see `README.md`."""
