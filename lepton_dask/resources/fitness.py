"""Whether this Dask has what the plugins work with; asked of the living scheduler before use."""

from __future__ import annotations

import inspect
from typing import Any

from distributed.worker_state_machine import UnpauseEvent, WorkerState

SCHEDULER_HAS = (
    "tasks",
    "workers",
    "running",
    "queued",
    "unrunnable",
    "handlers",
    "stream_handlers",
    "worker_send",
    "task_metadata",
    "transitions",
    "resources",
    "total_nthreads",
    "valid_workers",
    "bulk_schedule_unrunnable_after_adding_worker",
    "stimulus_queue_slots_maybe_opened",
)
WORKER_STATE_HAS = (
    "nthreads",
    "ready",
    "constrained",
    "executing",
    "total_resources",
    "task_counter",
)


def unfit(scheduler: Any) -> str | None:
    """What is missing, in words, or None."""
    missing = [name for name in SCHEDULER_HAS if not hasattr(scheduler, name)]
    if missing:
        return f"this scheduler has no {', '.join(missing)}"
    for name in ("add", "discard", "peek"):
        if not hasattr(scheduler.queued, name):
            return f"this scheduler's queue has no {name}"
    if "update-graph" not in scheduler.stream_handlers:
        return "this scheduler takes no graphs from clients"
    if "stimulus_id" not in inspect.signature(scheduler.transitions).parameters:
        return "this scheduler's transitions have another shape"
    if "stimulus_id" not in inspect.signature(UnpauseEvent).parameters:
        return "this Dask's workers wake in another way"
    known = set(inspect.signature(WorkerState.__init__).parameters) | set(
        getattr(WorkerState, "__annotations__", {})
    )
    lacking = [name for name in WORKER_STATE_HAS if name not in known]
    return f"this Dask's workers have no {', '.join(lacking)}" if lacking else None
