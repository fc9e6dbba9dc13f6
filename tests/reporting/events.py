"""Events of a refresh in which everything happens that can."""

from __future__ import annotations

from typing import Final

from hatch_defs_state.components.model import ManagementType
from hatch_defs_state.errors import SourceLocation, StateError, WriterError
from hatch_defs_state.refresh.events import (
    Event,
    Finished,
    Outcome,
    Output,
    Planned,
    Published,
    Retried,
    Started,
    Waiting,
)
from hatch_defs_state.storage.manifest import KeyEntry, Manifest
from hatch_defs_state.storage.measure import FileEntry

PLACE: Final = SourceLocation("defs/shop/defs.yaml", 3, 7)
HOLDER: Final = "process 4711, since 09:15:02"


def unavailable(key: str) -> WriterError:
    return WriterError(
        "the writer of shop.Api raised HTTPError: 503",
        key=key,
        location=PLACE,
        hint="is the service up?",
        output="GET /groups\n100 % lost\n",
    )


ORDERS_ERROR: Final = unavailable("orders")
STOCK_ERROR: Final = StateError("the writer wrote nothing", key="stock")
TAXES_ERROR: Final = WriterError("no answer\nin 600 s", key="taxes")

PLANNED: Final = Planned(
    keys=("customers", "invoices", "orders", "prices", "stock", "taxes", "users"),
    reused=("regions",),
    elsewhere=(("archive", "VERSIONED_STATE_STORAGE"),),
    warnings=("defs/old/defs.yaml:1: Old is no component with state",),
)
MIXED: Final[tuple[Event, ...]] = (
    Waiting(HOLDER),
    PLANNED,
    Finished("regions", Outcome.REUSED, size=12, note="2 h old"),
    Started("customers", 1),
    Started("invoices", 1),
    Output("customers", "12 customers\n\ndone\n"),
    Finished("customers", Outcome.REFRESHED, 12.34, 2048),
    Finished("invoices", Outcome.UNCHANGED, 0.52, 999_950),
    Started("orders", 1),
    Retried("orders", 1, 2.5, ORDERS_ERROR),
    Started("orders", 2),
    Finished(
        "orders",
        Outcome.LAST_GOOD,
        3.0,
        1_500_000,
        ORDERS_ERROR,
        "its last good state, 3 days old, is used",
    ),
    Started("stock", 1),
    Finished("stock", Outcome.FAILED, 0.04, error=STOCK_ERROR),
    Started("taxes", 1),
    Finished("taxes", Outcome.TIMED_OUT, 600.0, error=TAXES_ERROR),
    Started("prices", 1),
    Finished("prices", Outcome.CANCELLED, 1.2),
    Finished("users", Outcome.CANCELLED),
)
MANIFEST: Final = Manifest(
    project="shop",
    keys={
        "customers": KeyEntry(
            component_type="shop.Api",
            source=SourceLocation("defs/customers/defs.yaml", 1),
            management_type=ManagementType.LOCAL_FILESYSTEM,
            files={"state": FileEntry(2048, "ab" * 32)},
            written_at="2026-11-05T08:00:00Z",
        )
    },
)
PUBLISHED: Final = Published("defs/.local_defs_state", MANIFEST)
GOOD: Final[tuple[Event, ...]] = (
    Planned(("customers",), (), (), ()),
    Started("customers", 1),
    Finished("customers", Outcome.REFRESHED, 1.0, 2048),
    PUBLISHED,
)
