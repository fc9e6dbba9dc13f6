"""A Dagster job that refreshes a project's versioned state: in batches, with one commit.

Annotations are evaluated here: Dagster reads those of ops.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    DynamicOut,
    DynamicOutput,
    Field,
    In,
    IOManagerDefinition,
    JobDefinition,
    OpExecutionContext,
    Out,
    ScheduleDefinition,
    StringSource,
    graph,
    op,
)

from hatch_defs_state.dagster.event_values import EventValues
from hatch_defs_state.dagster.job_work import (
    Work,
    as_failure,
    commit,
    list_batches,
    own_location,
    refresh_batch,
)

WEBSERVER_VARIABLE = "DEFS_STATE_WEBSERVER_URL"
_VALUES = "defs_state_values"


def build_refresh_job(
    name: str = "refresh_defs_state",
    *,
    project: str | Path | None = None,
    keys: Sequence[str] = ("*",),
    batch_size: int = 50,
    settings: Mapping[str, Any] | None = None,
    webserver_url: str | None = None,
    location_name: str | None = None,
    executor_def: Any = None,
    tags: Mapping[str, Any] | None = None,
) -> JobDefinition:
    """Return a job that runs the writers of a project's versioned components.

    One step lists the components, one step a batch runs writers, judges what they left and uploads
    it, and the last step makes everything current in one commit and reloads the code location. When
    a writer fails, its step does, and nothing becomes current. Steps share nothing but the store
    and Dagster's own database: they may run on any executor, each on a machine of its own.

    Args:
        name: Name of the job.
        project: A folder in the project; by default that of the module that calls this.
        keys: Globs of the state keys that are refreshed.
        batch_size: How many writers one step runs; `jobs` of them at a time.
        settings: Settings for this job, by name, like `{"timeout": "2m", "max-shrink": "0.8"}`;
            they go before the project's and the environment's.
        webserver_url: Address of the web server that reloads the code location; by default what
            `DEFS_STATE_WEBSERVER_URL` says where the last step runs. Without one nothing is
            reloaded. The last step's configuration may name another one.
        location_name: The code location; by default the one that the run comes from.
        executor_def: What runs the steps; the executor of the code location by default.
        tags: Tags of the job's runs.
    """
    work = Work.of(project, sys._getframe(1).f_globals, keys, settings)

    def list_components(context: OpExecutionContext) -> Any:
        with as_failure():
            batches = list_batches(work, context, batch_size)
        for number, batch in enumerate(batches):
            yield DynamicOutput(batch, mapping_key=str(number), output_name="batch")

    def run_batch(context: OpExecutionContext, batch: list[str]) -> Any:
        with as_failure(), tempfile.TemporaryDirectory(prefix="defs-state-") as scratch:
            return refresh_batch(work, context, batch, Path(scratch))

    def commit_changes(context: OpExecutionContext, changes: list[dict[str, str]]) -> Any:
        config = context.op_config
        url = config.get("webserver_url") or webserver_url or os.environ.get(WEBSERVER_VARIABLE)
        location = config.get("location_name") or location_name or own_location(context)
        with as_failure():
            return commit(work, context, changes, url, location)

    list_op = op(
        name=f"{name}_list",
        description="Lists the versioned components.",
        out={"batch": DynamicOut(list, io_manager_key=_VALUES)},
    )(list_components)
    batch_op = op(
        name=f"{name}_batch",
        description="Runs writers, and uploads what they wrote.",
        ins={"batch": In(list)},
        out=Out(dict, io_manager_key=_VALUES),
    )(run_batch)
    commit_op = op(
        name=f"{name}_commit",
        description="Makes all new versions current at once, and reloads the code location.",
        ins={"changes": In(list)},
        out=Out(dict, io_manager_key=_VALUES),
        config_schema={
            "webserver_url": Field(StringSource, is_required=False),
            "location_name": Field(StringSource, is_required=False),
        },
    )(commit_changes)

    def compose() -> None:
        commit_op(list_op().map(batch_op).collect())

    refresh_graph = graph(name=name)(compose)
    return refresh_graph.to_job(
        name=name,
        description="Refreshes the state of versioned components in one commit.",
        resource_defs={_VALUES: IOManagerDefinition.hardcoded_io_manager(EventValues())},
        executor_def=executor_def,
        tags=tags,
    )


def build_refresh_schedule(
    job: JobDefinition, cron_schedule: str, **options: Any
) -> ScheduleDefinition:
    """Return a schedule for a job that `build_refresh_job` returned.

    Args:
        job: The job.
        cron_schedule: When it runs, as cron has it, e.g. `"0 * * * *"`.
        options: What else `dagster.ScheduleDefinition` takes: `name`, `execution_timezone`,
            `default_status`, `run_config`, …
    """
    return ScheduleDefinition(job=job, cron_schedule=cron_schedule, **options)
