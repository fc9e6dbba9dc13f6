"""Tables and variables of hatchling that keep the hook, or its settings, from a build.

A target's table of a hook replaces the global table of the same hook: they are not merged
(`BuilderConfig.hook_config` in hatchling).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hatch_defs_state.doctor.finding import Finding, Severity
from hatch_defs_state.doctor.subject import Subject, has
from hatch_defs_state.tables import HOOK_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CODE = "hook-table"
_NO_HOOKS = "HATCH_BUILD_NO_HOOKS"
_GLOBAL = tuple(HOOK_TABLE.split("."))
_ARTIFACTS = {"wheel": "wheels", "sdist": "source archives"}


def check(subject: Subject) -> Iterator[Finding]:
    """Find settings that a target's table hides, and hooks that are off."""
    if not subject.is_hatchling:
        return
    shared = subject.table(*_GLOBAL)
    is_shared = has(subject.config.pyproject, HOOK_TABLE)
    tables = {}
    for target in _ARTIFACTS:
        path = ("tool", "hatch", "build", "targets", target, "hooks", "defs-state")
        if has(subject.config.pyproject, ".".join(path)):
            tables[target] = path
            if is_shared:
                yield from _hidden(subject, target, path, shared)
    if not is_shared and "wheel" in tables and "sdist" not in tables and _pins(subject):
        yield Finding(
            CODE,
            Severity.ADVICE,
            "the hook is on for wheels alone: source archives carry no state, "
            "and what is built from one runs the writers again",
            f"name the table [{HOOK_TABLE}], or set refresh-in-sdist = false in it",
            subject.line(*tables["wheel"]),
        )
    yield from _off(subject, [_GLOBAL, *tables.values()])


def _hidden(
    subject: Subject, target: str, path: tuple[str, ...], shared: Mapping[str, Any]
) -> Iterator[Finding]:
    own = subject.table(*path)
    lost = [name for name in shared if name not in own]
    if not lost:
        return
    yield Finding(
        CODE,
        Severity.PROBLEM,
        f"[{'.'.join(path)}] replaces [{HOOK_TABLE}] for {_ARTIFACTS[target]}: "
        f"{_listed(lost)} in it {'is' if len(lost) == 1 else 'are'} ignored there",
        f"remove the line [{'.'.join(path)}] and move what stands below it to [{HOOK_TABLE}]",
        subject.line(*path),
    )


def _off(subject: Subject, tables: list[tuple[str, ...]]) -> Iterator[Finding]:
    for path in tables:
        if subject.table(*path).get("enable-by-default") is False:
            yield Finding(
                CODE,
                Severity.PROBLEM,
                "the hook is off: enable-by-default is false, "
                "and no shell can export the variable that turns it on",
                "remove the line enable-by-default = false",
                subject.line(*path, "enable-by-default"),
            )
    if subject.environment.get(_NO_HOOKS) in {"1", "true"}:
        yield Finding(
            CODE,
            Severity.PROBLEM,
            f"the hook is off: {_NO_HOOKS} is set in this environment",
            f"unset {_NO_HOOKS}",
        )


def _pins(subject: Subject) -> bool:
    return subject.settings is None or subject.settings.refresh_in_sdist


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
