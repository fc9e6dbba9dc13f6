"""Versions of installed distributions, read from the names of their metadata folders.

`importlib.metadata` reads more, and brings modules along that make every fork of a process slower.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def installed_distributions(folders: Sequence[str] | None = None) -> dict[str, str]:
    """Return the versions of installed distributions, by name.

    Args:
        folders: Where they are looked for, the first one first; the module search path by default.
    """
    found: dict[str, str] = {}
    for folder in reversed(sys.path if folders is None else folders):
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - names are all that is needed
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                project, _, version = name.removesuffix(".dist-info").partition("-")
                found[project] = version
    return dict(sorted(found.items()))


def versions_of(names: list[str]) -> dict[str, str]:
    """Return the versions of Python and of those distributions in `names` that are installed.

    Args:
        names: Normalised names of distributions.
    """
    found = {normal_name(name): version for name, version in installed_distributions().items()}
    python = {"python": ".".join(map(str, sys.version_info[:3]))}
    return python | {name: found[name] for name in names if name in found}


def normal_name(name: str) -> str:
    """Return the normalised form of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()
