"""Several requests at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WORKERS = 12

_T = TypeVar("_T")
_R = TypeVar("_R")


def run_all(function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Call `function` for every item, several at a time; the first error ends it."""
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(min(WORKERS, len(todo))) as pool:
        tasks = [pool.submit(function, item) for item in todo]
        try:
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
