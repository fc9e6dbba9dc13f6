"""What programs read of a refresh is one document, in a form that does not change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hatch_defs_state.errors import CombinedError, ComponentError, SourceLocation
from hatch_defs_state.refresh.events import Committed, Reloaded
from hatch_defs_state.reporting.document import Document
from hatch_defs_state.reporting.schema import RESPONSE_SCHEMA
from tests.reporting.events import GOOD, MANIFEST, MIXED, ORDERS_ERROR, STOCK_ERROR, TAXES_ERROR

if TYPE_CHECKING:
    from hatch_defs_state.refresh.events import Event

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
KNOWN = {
    "$schema",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "minimum",
}


def violations(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Return where `value` contradicts `schema`, which uses no more than `KNOWN`."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: const")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: enum")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return [*found, f"{path}: type"]
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{path}: minimum")
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += violations(item, schema.get("items", {}), f"{path}[{number}]")
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        found += [f"{path}: lacks {name}" for name in set(schema.get("required", [])) - set(value)]
        for name, item in value.items():
            if name not in properties and rest is False:
                found.append(f"{path}: has {name}")
            else:
                found += violations(item, properties.get(name, rest), f"{path}.{name}")
    return found


def document(
    *events: Event,
    error: BaseException | None = None,
    locations: dict[str, SourceLocation] | None = None,
) -> dict[str, Any]:
    collected = Document(locations)
    for event in events:
        collected(event)
    collected.close(error)
    told = collected.to_json()
    assert violations(told, RESPONSE_SCHEMA) == []
    assert json.loads(json.dumps(told)) == told
    return told


def key(outcome: str, seconds: float = 0.0, attempts: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "seconds": seconds,
        "attempts": attempts,
        "size": 0,
        "written_at": None,
        "digest": None,
        "error": None,
        "note": None,
        "source": None,
        **more,
    }


def place(file: str, line: int | None = None, column: int | None = None) -> dict[str, Any]:
    return {"file": file, "line": line, "column": column}


def error(message: str, name: str | None, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("file", "line", "column", "hint", "output"))
    return {"message": message, "key": name, **nothing, **more}


def test_a_mixed_refresh_is_told_whole_and_sorted() -> None:
    late: dict[str, SourceLocation] = {}
    collected = Document(late)
    for event in MIXED:
        collected(event)
    collected.close(CombinedError([TAXES_ERROR, STOCK_ERROR]))
    late["stock"] = SourceLocation("defs/stock/defs.yaml", 4)
    told = collected.to_json()
    assert violations(told, RESPONSE_SCHEMA) == []
    assert told == {
        "schema": 1,
        "status": "failed",
        "path": None,
        "digest": None,
        "commit": None,
        "reloaded": None,
        "keys": {
            "customers": key("refreshed", 12.34, 1, size=2048),
            "invoices": key("unchanged", 0.52, 1, size=999_950),
            "orders": key(
                "last-good",
                3.0,
                2,
                size=1_500_000,
                error=ORDERS_ERROR.message,
                note="its last good state, 3 days old, is used",
                source=place("defs/shop/defs.yaml", 3, 7),
            ),
            "prices": key("cancelled", 1.2, 1),
            "regions": key("reused", size=12, note="2 h old"),
            "stock": key(
                "failed",
                0.04,
                1,
                error="the writer wrote nothing",
                source=place("defs/stock/defs.yaml", 4),
            ),
            "taxes": key("timed-out", 600.0, 1, error="no answer\nin 600 s"),
            "users": key("cancelled"),
        },
        "elsewhere": {"archive": {"management_type": "VERSIONED_STATE_STORAGE", "source": None}},
        "warnings": [
            "defs/old/defs.yaml:1: Old is no component with state",
            (
                "orders: last-good, 1.5 MB: its last good state, 3 days old, is used; "
                "its writer failed after 3.0 s: the writer of shop.Api raised HTTPError: 503"
            ),
        ],
        "errors": [
            error("the writer wrote nothing", "stock"),
            error("no answer\nin 600 s", "taxes"),
        ],
    }
    assert list(told["keys"]) == sorted(told["keys"])


def test_a_publication_is_told_with_what_its_manifest_says() -> None:
    told = document(*GOOD)
    assert (told["status"], told["path"]) == ("published", "defs/.local_defs_state")
    assert told["digest"] == MANIFEST.digest
    assert told["errors"] == []
    assert told["keys"] == {
        "customers": key(
            "refreshed",
            1.0,
            1,
            size=2048,
            written_at="2026-11-05T08:00:00Z",
            digest=MANIFEST.keys["customers"].digest,
            source=place("defs/customers/defs.yaml", 1),
        )
    }


@pytest.mark.parametrize(
    ("error_", "status"),
    [(KeyboardInterrupt(), "interrupted"), (RuntimeError("a bug"), "failed"), (None, "failed")],
)
def test_what_did_not_end_is_cancelled(error_: BaseException | None, status: str) -> None:
    told = document(*MIXED[:6], error=error_)
    assert told["status"] == status
    assert told["keys"]["customers"] == key("cancelled", attempts=1)
    known = [error("RuntimeError: a bug", None)] if isinstance(error_, RuntimeError) else []
    assert told["errors"] == known


def test_errors_before_the_plan_are_told_by_place() -> None:
    second = ComponentError(
        "unknown type", location=SourceLocation("b.yaml", 2, 5), hint="change it", output="boom"
    )
    first = ComponentError("no type", location=SourceLocation("b.yaml", 1))
    told = document(error=CombinedError([second, first]))
    assert told["errors"] == [
        error("no type", None, file="b.yaml", line=1),
        error(
            "unknown type", None, file="b.yaml", line=2, column=5, hint="change it", output="boom"
        ),
    ]


def test_the_schema_refuses_what_is_not_told() -> None:
    told = document(*GOOD)
    told["keys"]["customers"] |= {"outcome": "fine", "attempts": -1, "surplus": 1}
    del told["status"], told["keys"]["customers"]["note"]
    assert sorted(violations(told, RESPONSE_SCHEMA)) == [
        "$.keys.customers.attempts: minimum",
        "$.keys.customers.outcome: enum",
        "$.keys.customers: has surplus",
        "$.keys.customers: lacks note",
        "$: lacks status",
    ]


def test_a_commit_and_a_reload_are_told() -> None:
    collected = Document()
    collected(Committed("s3://bucket/base", 7, {"a": "v2"}, {"b": "v1", "a": "v2"}))
    collected(Reloaded("platform", "http://dagster:3000"))
    collected.close(None)
    told = collected.to_json()
    assert violations(told, RESPONSE_SCHEMA) == []
    assert (told["status"], told["reloaded"]) == ("published", "platform")
    assert told["commit"] == {
        "store": "s3://bucket/base",
        "serial": 7,
        "changes": {"a": "v2"},
        "versions": {"a": "v2", "b": "v1"},
    }
