"""Whether the build back end is one that puts state into wheels, and has been told to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import WRAP, Subject
from hatch_defs_state.tables import HOOK_TABLE, PEX_PLUGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = "build-system"
_OURS = "hatch-defs-state"


def check(subject: Subject) -> Iterator[Finding]:
    """Find a hook without its requirement, a requirement without its hook, another back end."""
    if not subject.config.pyproject:
        return
    required = _OURS in subject.build_requirements
    if subject.is_hatchling:
        yield from _hatchling(subject, required)
    elif subject.backend == WRAP:
        yield from _wrapped(subject, required)
    else:
        yield Finding(
            CODE,
            Severity.PROBLEM,
            f"wheels carry no state: {subject.backend} runs no hook of hatchling",
            "wrap it:\n"
            "[build-system]\n"
            f"requires = {json.dumps(_wrapping(subject))}\n"
            f'build-backend = "{WRAP}"\n'
            "[tool.pex.build_backend]\n"
            f'delegate-build-backend = "{subject.backend}"\n'
            f'plugins = ["{PEX_PLUGIN}"]',
            subject.line("build-system", "build-backend"),
        )


def _hatchling(subject: Subject, required: bool) -> Iterator[Finding]:
    if subject.has_hook and not required:
        yield Finding(
            CODE,
            Severity.PROBLEM,
            "the hook is turned on and is not installed where the project is built",
            f'add "{_OURS}" to requires',
            subject.line("build-system", "requires"),
        )
    elif not subject.has_hook:
        also = "" if required else f'add "{_OURS}" to requires of [build-system], and '
        yield Finding(
            CODE,
            Severity.PROBLEM,
            "wheels carry no state: the hook is not turned on",
            f"{also}add the line [{HOOK_TABLE}]",
            subject.line("build-system", "requires", containing=_OURS if required else ""),
        )


def _wrapped(subject: Subject, required: bool) -> Iterator[Finding]:
    if not subject.has_plugin:
        yield Finding(
            CODE,
            Severity.PROBLEM,
            "wheels carry no state: the wrapped back end has no plugin that adds it",
            f'add "{PEX_PLUGIN}" to plugins of [tool.pex.build_backend]',
            subject.line("build-system", "build-backend"),
        )
    elif not required:
        yield Finding(
            CODE,
            Severity.PROBLEM,
            "the plugin is turned on and is not installed where the project is built",
            f'add "{_OURS}" to requires',
            subject.line("build-system", "requires"),
        )


def _wrapping(subject: Subject) -> list[str]:
    """Return what the build requires when its back end is wrapped."""
    listed = subject.table("build-system").get("requires")
    now = [str(item) for item in listed] if isinstance(listed, list) else ["setuptools"]
    return [*dict.fromkeys([*now, "pex", _OURS])]
