"""Executors that the command line can name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import OptionError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

_CONNECT_SECONDS = "10s"


@contextlib.contextmanager
def open_executor(name: str | None) -> Iterator[Executor | None]:
    """Connect to an executor for the time of a block.

    Args:
        name: `dask:` and the address of a scheduler; `None` for the processes of this machine.

    Raises:
        SettingsError: The name is not known, its library is not installed, or nobody answers.
    """
    if name is None:
        yield None
        return
    kind, _, address = name.partition(":")
    if kind != "dask" or not address:
        raise OptionError(
            f"--executor: expected `dask:` and the address of a scheduler, got {name!r}",
            hint="for example dask:tcp://scheduler:8786",
        )
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError(
            "--executor: dask.distributed is not installed",
            hint="pip install 'hatch-defs-state[dask]'",
        ) from None
    try:
        connect: Any = Client
        client = connect(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--executor: no scheduler answers at {address}: {error}") from None
    with client, client.get_executor() as executor:
        yield executor
