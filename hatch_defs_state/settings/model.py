"""The settings, with their defaults and what they mean.

Every field declares how its value is read; TOML paths, environment variables, options and help
texts are derived from the fields.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hatch_defs_state.settings import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.settings.kinds import Kind

DEFAULT_EXCLUDE = (
    ".git",
    ".venv/",
    "__pycache__/",
    ".env",
    "/project/logs/",
    "dbt.log*",
    "partial_parse.msgpack",
    "*.concurrent-update-lock",
)
"""Git repositories (their config may hold a token), environments, caches, secrets, and what dbt
leaves in a project that is bound to the machine where it ran."""


def _setting(kind: Kind, default: object, help_text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True)
class _Common:
    """What can be set for all keys, and for single ones."""

    timeout: float = _setting(kinds.DURATION, 600.0, "how long one writer may run")
    retries: int = _setting(kinds.whole(0), 0, "how often a failed writer is run again")
    max_age: float | None = _setting(
        kinds.DURATION, None, "how old state may be that is used instead of a new one"
    )
    on_failure: str = _setting(
        kinds.one_of("fail", "last-good"),
        "fail",
        '"last-good" uses the last good state of a key whose writer fails',
    )
    max_shrink: float = _setting(
        kinds.PART, 0.5, "by what part of its items or its size state may shrink"
    )


@dataclass(frozen=True)
class KeySettings(_Common):
    """What can be set for single keys, in `components."<key glob>"`."""

    inputs: tuple[str, ...] = _setting(
        kinds.GLOBS, (), "globs of the files in the project that the writer reads"
    )


@dataclass(frozen=True)
class Settings(_Common):
    """What a user can configure."""

    refresh: str = _setting(
        kinds.one_of("always", "reuse", "frozen"),
        "always",
        "whether writers run: always, only where something changed, or never",
    )
    jobs: int = _setting(kinds.whole(1), 8, "how many writers run at a time")
    allow_empty: tuple[str, ...] = _setting(
        kinds.TEXTS, (), "globs of the keys whose state may be empty"
    )
    exclude: tuple[str, ...] = _setting(
        kinds.TEXTS,
        DEFAULT_EXCLUDE,
        "patterns, as in .gitignore, of files in state folders that never ship; "
        "replaces the default list",
    )
    python: str = _setting(
        kinds.TEXT,
        "auto",
        'which interpreter runs the writers: "build" (that of the build), "managed" (an '
        'environment made from the project\'s lock), a path, or "auto" (the first that fits)',
    )
    features: tuple[str, ...] = _setting(kinds.TEXTS, (), "extras of the project that writers need")
    groups: tuple[str, ...] = _setting(kinds.TEXTS, (), "dependency groups that writers need")
    refresh_in_sdist: bool = _setting(
        kinds.FLAG,
        True,
        "whether a source archive carries state, which wheels built from it then use",
    )
    store: str | None = _setting(
        kinds.TEXT, None, "where versioned state is kept: a folder or the URL of an object store"
    )
    pin_versioned: bool = _setting(
        kinds.FLAG, False, "whether artifacts record which versions of versioned state are current"
    )
    offline: str = _setting(
        kinds.one_of("fail", "last-pinned", "bundled"),
        "fail",
        "what a code location loads whose store cannot be reached: nothing, the versions that it "
        "used last, or those that its artifact carries",
    )
    allow_missing: tuple[str, ...] = _setting(
        kinds.TEXTS, (), "globs of the keys that load without state when they have none"
    )
    defs_module: str | None = _setting(
        kinds.MODULE, None, "dotted name of the module whose folder holds the components"
    )
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, key: str) -> KeySettings:
        """Return the settings of one key; of several globs that match it, the last one wins."""
        values = {f.name: getattr(self, f.name) for f in fields(_Common)}
        for glob, table in self.components.items():
            if fnmatch.fnmatchcase(key, glob):
                values |= table
        return KeySettings(**values)

    def may_be_empty(self, key: str) -> bool:
        """Whether the state of `key` may be empty."""
        return any(fnmatch.fnmatchcase(key, glob) for glob in self.allow_empty)

    def may_miss(self, key: str) -> bool:
        """Whether `key` may load without any state."""
        return any(fnmatch.fnmatchcase(key, glob) for glob in self.allow_missing)


def option_name(field_name: str) -> str:
    """Return the kebab-case name of a field: in TOML, and after `--` on the command line."""
    return field_name.replace("_", "-")


def readable_fields(model: type) -> dict[str, tuple[str, Kind, str]]:
    """Return field name, kind and help text of every setting, by kebab-case name."""
    return {
        option_name(f.name): (f.name, f.metadata["kind"], f.metadata["help"])
        for f in fields(model)
        if "kind" in f.metadata
    }
