"""What a writer raised, told from the first line of the project's code on."""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path

_NOT_THE_PROJECTS = (str(Path(__file__).parents[1]), str(Path(os.__file__).with_name("asyncio")))
_LONGEST_REASON = 500


def reason_of(error: BaseException) -> str:
    """Return what happened, as the rest of a sentence that begins with who raised it."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    text = str(error).strip().splitlines()
    return f"raised {type(error).__name__}" + (f": {text[0][:_LONGEST_REASON]}" if text else "")


def print_trace(error: BaseException) -> None:
    """Print where `error` was raised, from the first line of the project's code on."""
    if isinstance(error, SystemExit):
        return
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        print_trace(before)
    for member in getattr(error, "exceptions", ()):
        print_trace(member)
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(_NOT_THE_PROJECTS):
        frames.pop(0)
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    # The descriptor, whatever the project has put in the place of `sys.stderr`.
    with contextlib.suppress(OSError):
        os.write(2, "".join(lines).encode(errors="backslashreplace"))
