"""Compiling ahead: workers get their kernels ready while they parse files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from lepton_dask.config.pipeline import Step
from lepton_dask.data.formats import plain_csv
from lepton_dask.data.formats.scan_sources import SCAN
from lepton_dask.events import Compiling, Event
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.kernels.warming import is_compiled
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.train import Train
from lepton_dask.run.memory import has_room_for_a_compiler


def warm_up_kernels(
    dispatch: Dispatch, steps: Iterable[Step], emit: Callable[[Event], None]
) -> None:
    """Has each worker compile, or load, what the steps' trainings will run, if there is room for
    it. Waits for nothing; says so where it will take a while, as far as this machine's installation
    tells.

    It happens beside the tasks and is none: a task would keep a worker's thread from its files, and
    one of low priority would come when they are parsed. A worker that comes later compiles when it
    has to.
    """
    losses = []
    for step in steps:
        if isinstance(step.action, Train) and step.action.pointwise not in losses:
            losses.append(step.action.pointwise)
    if losses and has_room_for_a_compiler(dispatch):
        missing = [loss.name for loss in losses if not is_compiled(loss)]
        if missing and _is_here(dispatch):
            emit(Compiling(f"the passes of {' and '.join(missing)} loss"))
        dispatch.client.run(_begin, losses, wait=False, on_error="ignore")


def _is_here(dispatch: Dispatch) -> bool:
    """Whether the cluster is on this machine."""
    scheduler = dispatch.client.scheduler
    return scheduler is not None and "://127.0.0.1:" in scheduler.address


def warm_up_scan(dispatch: Dispatch, emit: Callable[[Event], None]) -> None:
    """The same for the scan of plain CSV text: until a worker is ready it reads as fast as Arrow
    does."""
    if not has_room_for_a_compiler(dispatch):
        return
    if not SCAN.has("scan") and _is_here(dispatch):
        emit(Compiling("the scan of CSV text"))
    dispatch.client.run(_begin_scan, wait=False, on_error="ignore")


async def _begin_scan() -> None:
    if not plain_csv.is_ready():
        threading.Thread(target=plain_csv.warm_up, name="warm-up", daemon=True).start()


# Without waiting Dask starts coroutines alone: it refuses functions, and on_error hides that.
async def _begin(losses: list[Loss]) -> None:
    threading.Thread(target=_warm_up, args=(losses,), name="warm-up", daemon=True).start()


def _warm_up(losses: list[Loss]) -> None:
    from lepton_dask.learn.kernels.warming import warm_up

    for loss in losses:
        warm_up(loss)
        if loss.smooth:
            warm_up(loss, curvature=True)
