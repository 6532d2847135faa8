"""Compiling ahead: workers get their kernels ready while they parse files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from lepton_dask.config.pipeline import Step
from lepton_dask.data.formats import plain_csv
from lepton_dask.events import Compiling, Event
from lepton_dask.learn.kernels.sources import is_compiled
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.sweeps import Dispatch
from lepton_dask.learn.train import Train


def warm_up_kernels(
    dispatch: Dispatch, steps: Iterable[Step], emit: Callable[[Event], None]
) -> None:
    """Has each worker compile, or load, what the steps' trainings will run. Waits for nothing; says
    so where it will take a while, as far as this machine's installation tells.

    It happens beside the tasks and is none: a task would keep a worker's thread from its files, and
    one of low priority would come when they are parsed. A worker that comes later compiles when it
    has to.
    """
    losses = []
    for step in steps:
        if isinstance(step.action, Train) and step.action.pointwise not in losses:
            losses.append(step.action.pointwise)
    if losses:
        if _is_here(dispatch) and not all(is_compiled(loss.name) for loss in losses):
            emit(Compiling(tuple(loss.name for loss in losses)))
        dispatch.client.run(_begin, losses, wait=False, on_error="ignore")


def _is_here(dispatch: Dispatch) -> bool:
    """Whether the cluster is on this machine."""
    scheduler = dispatch.client.scheduler
    return scheduler is not None and "://127.0.0.1:" in scheduler.address


def warm_up_scan(dispatch: Dispatch) -> None:
    """Has each worker get ready to read plain CSV text by a compiled scan. Waits for nothing: until
    a worker is ready it reads as fast as Arrow does."""
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
