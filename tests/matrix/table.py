"""The table of the matrix: a line for each front end, printed when the tests are over."""

from __future__ import annotations

from typing import Final

MATRIX: Final = "front end"
"""Name of the property of a test that holds its line."""

HEADINGS: Final = ("FRONT END", "WRITERS RUN", "ARTIFACTS", "ONE DIGEST", "VERIFIED", "LOADS")
