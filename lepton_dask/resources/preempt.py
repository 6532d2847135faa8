"""Cooperative preemption: a task that may start again gives its slot to critical work."""

from __future__ import annotations

from distributed import Reschedule, get_worker

from lepton_dask.resources.lanes import WORKER_PLUGIN


def give_way() -> None:
    """Called now and then by a task that may be started again, from a chunk's beginning say.

    Where critical work waits for a slot, and the priorities were installed with `preempt=True`, the
    task ends here and runs again later (`distributed.Reschedule`); else nothing happens. The caller
    must not have changed anything outside that a second start would not bear. It must be imported
    where the task runs, so it needs this package on the workers.
    """
    try:
        worker = get_worker()
    except ValueError:
        return  # in no task
    plugin = worker.plugins.get(WORKER_PLUGIN)
    if plugin is not None and worker.get_current_task() in plugin.asked:
        raise Reschedule
