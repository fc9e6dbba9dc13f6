"""Values between the steps of a run, kept in the run's event log.

The steps of a run may be processes on machines that share no disk: what a user's own IO manager
needs may not be there. The event log is, wherever a step can run.
"""

from __future__ import annotations

from typing import Any

from dagster import DagsterEventType, InputContext, IOManager, JsonMetadataValue, OutputContext

from hatch_defs_state.errors import DefsStateError

_VALUE, _MAPPING_KEY = "value", "mapping key"


class EventValues(IOManager):  # type: ignore[misc]
    """Keeps small values, as JSON, in the metadata of the events that tell of outputs."""

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a value into the event of its output."""
        context.add_output_metadata(
            {_VALUE: JsonMetadataValue(obj), _MAPPING_KEY: context.mapping_key or ""}
        )

    def load_input(self, context: InputContext) -> Any:
        """Find the event of an output, the last one if its step was retried."""
        output = context.upstream_output
        records = context.instance.get_records_for_run(
            output.run_id, of_type=DagsterEventType.HANDLED_OUTPUT
        ).records
        for record in reversed(records):
            event = record.event_log_entry.get_dagster_event()
            data = event.event_specific_data
            if (event.step_key, data.output_name) != (output.step_key, output.name):
                continue
            if data.metadata[_MAPPING_KEY].value == (output.mapping_key or ""):
                return data.metadata[_VALUE].value
        raise DefsStateError(
            f"run {output.run_id} has no event with the output {output.name} of {output.step_key}"
        )
