"""Options that are settings: one for every setting, with its name and help text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hatch_defs_state.settings.kinds import MODULE, TEXT, TEXTS
from hatch_defs_state.settings.model import Settings, readable_fields

if TYPE_CHECKING:
    from hatch_defs_state.cli.root import Decorated


def settings_options(function: Decorated) -> Decorated:
    """Add an option for every setting; their texts arrive as keyword arguments."""
    for name, (field_name, kind, help_text) in reversed(readable_fields(Settings).items()):
        accepts = "texts, separated by commas" if kind is TEXTS else kind.accepts
        form = "" if kind in (TEXT, MODULE) else f": {accepts}"
        text = f"{help_text[0].upper()}{help_text[1:]}{form}."
        function = click.option(f"--{name}", field_name, metavar="VALUE", help=text)(function)
    return function
