"""The JSON schema of what `Document` tells."""

from __future__ import annotations

from typing import Any

from hatch_defs_state.refresh.events import Outcome


def _record(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _maybe(kind: str, description: str) -> dict[str, Any]:
    return {"type": [kind, "null"], "description": description}


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": description}


_PLACE = {
    "file": _maybe("string", "Relative to the project's root; absolute when outside it."),
    "line": _maybe("integer", "Counted from 1; null when the file as a whole is meant."),
    "column": _maybe("integer", "Counted from 1; null when the line as a whole is meant."),
}
_SOURCE = _record(_PLACE, "Where the component is declared.") | {"type": ["object", "null"]}
_KEY = _record(
    {
        "outcome": {
            "enum": [outcome.value for outcome in Outcome],
            "description": "How the work on the key ended.",
        },
        "seconds": {
            "type": "number",
            "minimum": 0,
            "description": "Wall time of the last attempt.",
        },
        "attempts": _count("How often the writer was started; 0 when it was not."),
        "size": _count("Bytes of state; 0 unless the outcome has state."),
        "written_at": _maybe("string", "When the content was first seen; null unless published."),
        "digest": _maybe("string", "Sha256 of the content; null unless published."),
        "error": _maybe("string", "Why the writer failed; set for last-good, too."),
        "note": _maybe("string", "What else there is to say."),
        "source": _SOURCE,
    },
    "One state key.",
)
_ELSEWHERE = _record(
    {"management_type": _text("Where the state is kept."), "source": _SOURCE},
    "A component whose state is kept elsewhere.",
)
_VERSIONS = {"type": "object", "additionalProperties": _text("Identifier of the version.")}
_COMMIT = _record(
    {
        "store": _text("Where the versions are kept."),
        "serial": _count("Number of the commit."),
        "changes": {**_VERSIONS, "description": "The new version of every key that changed."},
        "versions": {**_VERSIONS, "description": "The current version of every key."},
    },
    "What is current in versioned storage; null unless versioned state was refreshed.",
) | {"type": ["object", "null"]}
_ERROR = _record(
    {
        "message": _text("What happened."),
        "key": _maybe("string", "The state key that is concerned, if one is."),
        **_PLACE,
        "hint": _maybe("string", "What can be done about it."),
        "output": _maybe("string", "What the failing process printed."),
    },
    "An error that ended the refresh.",
)

RESPONSE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Response of defs-state refresh",
    **_record(
        {
            "schema": {"const": 1, "description": "Version of this document's form."},
            "status": {
                "enum": ["published", "failed", "interrupted"],
                "description": "How the refresh ended.",
            },
            "path": _maybe(
                "string",
                "Where the generation lies, relative to the project's root, absolute when outside "
                "it; null unless it was published.",
            ),
            "digest": _maybe("string", "Sha256 of the generation; null unless it was published."),
            "commit": _COMMIT,
            "reloaded": _maybe("string", "The code location that was reloaded, if one was."),
            "keys": {
                "type": "object",
                "additionalProperties": _KEY,
                "description": "All keys of the refresh.",
            },
            "elsewhere": {
                "type": "object",
                "additionalProperties": _ELSEWHERE,
                "description": "Keys that a refresh leaves alone.",
            },
            "warnings": {
                "type": "array",
                "items": _text("A full sentence."),
                "description": "What did no harm yet.",
            },
            "errors": {
                "type": "array",
                "items": _ERROR,
                "description": "Every error, sorted by place.",
            },
        },
        "One refresh. Where `path` and `commit` are null, all state is as it was before.",
    ),
}
"""What `defs-state refresh --json` prints, in JSON schema draft 2020-12."""
