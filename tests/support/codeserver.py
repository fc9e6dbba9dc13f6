"""What a real code server makes of an installed module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.commands import printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.environments import Environment

_CLIENT: Final = Path(__file__).with_name("codeserver_client.py")


def served_asset_keys(environment: Environment, module: str, env: Mapping[str, str]) -> set[str]:
    """Start a code server as a stranger and return the keys of the assets that it serves.

    Args:
        environment: Where the module and Dagster are installed.
        module: What the code server loads.
        env: Variables that the module needs.

    Raises:
        AssertionError: If the code server does not load the module, with all that it printed.
    """
    # The source is passed along because a stranger may not be able to read where the tests are.
    result = environment.run_as_stranger(["-c", _CLIENT.read_text("utf-8"), module], env=env)
    assert result.returncode == 0, printed(result)
    keys = json.loads(result.stdout.splitlines()[-1])
    assert len(keys) == len(set(keys)), keys
    return set(keys)
