"""What programs read: one JSON document a refresh, described by `RESPONSE_SCHEMA`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hatch_defs_state.errors import DefsStateError, SourceLocation, flatten
from hatch_defs_state.refresh.events import Committed, Event, Finished, Outcome
from hatch_defs_state.reporting.base import Reporter
from hatch_defs_state.reporting.history import History
from hatch_defs_state.reporting.wording import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_defs_state.storage.manifest import KeyEntry

SCHEMA = 1


class Document(Reporter):
    """Collects events; `to_json` tells them, and how the refresh ended.

    Args:
        locations: Where components are declared, by state key. Read by `to_json`, so that it may be
            filled after the call.
    """

    def __init__(self, locations: Mapping[str, SourceLocation] | None = None) -> None:
        self._locations = locations if locations is not None else {}
        self._history = History()
        self._error: BaseException | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self._history.add(event)

    def close(self, error: BaseException | None) -> None:
        """Take note of how the refresh ended."""
        self._error = error

    def to_json(self) -> dict[str, Any]:
        """Return the document, with sorted keys."""
        history = self._history
        manifest = history.published.manifest if history.published else None
        entries = manifest.keys if manifest else {}
        away = manifest.elsewhere if manifest else {}
        ends = history.ends()
        return {
            "schema": SCHEMA,
            "status": history.status(self._error),
            "path": history.published.path if history.published else None,
            "digest": manifest.digest if manifest else None,
            "commit": _commit(history.committed),
            "reloaded": history.reloaded.location if history.reloaded else None,
            "keys": {key: self._key(end, entries.get(key)) for key, end in ends.items()},
            "elsewhere": {
                key: {"management_type": kind, "source": self._source(key, away.get(key), None)}
                for key, kind in sorted(history.planned.elsewhere)
            },
            "warnings": [
                *history.warnings,
                *sorted(history.planned.warnings),
                *(
                    line.text
                    for end in ends.values()
                    if end.outcome is Outcome.LAST_GOOD
                    for line in lines(end)
                ),
            ],
            "errors": self._errors(ends),
        }

    def _key(self, end: Finished, entry: KeyEntry | None) -> dict[str, Any]:
        return {
            "outcome": end.outcome.value,
            "seconds": round(end.seconds, 3),
            "attempts": self._history.attempts.get(end.key, 0),
            "size": end.size or (entry.size if entry else 0),
            "written_at": entry.written_at if entry else None,
            "digest": entry.digest if entry else None,
            "error": end.error.message if end.error else None,
            "note": end.note,
            "source": self._source(end.key, entry, end.error),
        }

    def _source(
        self, key: str, entry: KeyEntry | None, error: DefsStateError | None
    ) -> dict[str, Any] | None:
        location = self._locations.get(key)
        location = location or (entry.source if entry else None)
        location = location or (error.location if error else None)
        return _place(location) if location else None

    def _errors(self, ends: Mapping[str, Finished]) -> list[dict[str, Any]]:
        errors = [end.error for end in ends.values() if end.error and not end.outcome.has_state]
        errors.extend(self._history.other_errors(self._error))
        if self._error is not None and not isinstance(
            self._error, (DefsStateError, KeyboardInterrupt)
        ):
            errors.append(DefsStateError(f"{type(self._error).__name__}: {self._error}"))
        return [
            {
                "message": error.message,
                "key": error.key,
                **_place(error.location),
                "hint": error.hint,
                "output": error.output,
            }
            for error in sorted(flatten(errors), key=_order)
        ]


def _commit(event: Committed | None) -> dict[str, Any] | None:
    if event is None:
        return None
    return {
        "store": event.store,
        "serial": event.serial,
        "changes": dict(sorted(event.changes.items())),
        "versions": dict(sorted(event.versions.items())),
    }


def _place(location: SourceLocation | None) -> dict[str, Any]:
    return {
        "file": location.file if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
    }


def _order(error: DefsStateError) -> tuple[SourceLocation, str, str]:
    return error.location or SourceLocation(""), error.key or "", error.message
