"""Forking the test run on purpose."""

from __future__ import annotations

import os
import warnings


def fork() -> int:
    """Fork; as servers do that load first, although this process may have threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
