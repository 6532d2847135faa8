"""A scheduler plugin that shows made-up numbers, on a stock scheduler to which it travels by value.

It answers as the one that keeps priorities does, and decides nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import statuses
from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from processes import stock_scheduler
from statuses import busy

import lepton_dask.resources
from lepton_dask.resources.lanes import INSTALLED
from lepton_dask.resources.seen import attach
from lepton_dask.resources.status import RunReport, Status

MODULES = (lepton_dask.resources, statuses, sys.modules[__name__])


class Showing(SchedulerPlugin):
    """Numbers that grow each time anybody asks; what runs report is kept in order."""

    name = "showing"

    def __init__(self) -> None:
        self.turn = 0
        self.reports: list[RunReport] = []

    async def start(self, scheduler: Scheduler) -> None:
        self.attached = attach(scheduler, self.status)
        scheduler.task_metadata[INSTALLED] = True
        scheduler.handlers["lepton_status"] = self.status
        scheduler.handlers["lepton_report"] = self.report

    def status(self) -> Status:
        self.turn += 1
        return busy(self.turn)

    def report(self, run: RunReport) -> None:
        self.reports.append(run)


def install(client: Client, *, classes: object = None) -> None:
    """As `lepton_dask.resources.install`, but what it installs shows `busy`."""
    del classes
    with _by_value():
        client.register_plugin(Showing())


@contextmanager
def _by_value() -> Iterator[None]:
    for module in MODULES:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in MODULES:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def showing(folder: Path) -> Iterator[Client]:
    """A client of a stock scheduler that shows made-up numbers."""
    with stock_scheduler(folder) as (address, _), Client(address) as client:
        install(client)
        yield client


def on_scheduler(client: Client, look: Callable[..., object]) -> object:
    """What a function of a test finds on the scheduler, which cannot import it."""
    module = sys.modules[look.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return client.run_on_scheduler(look)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
