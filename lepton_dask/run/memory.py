"""How much of a worker's memory one thing may take."""

from __future__ import annotations

from lepton_dask.learn.sweeps import Dispatch

SHARE = 0.25
"""Of the smallest worker's memory: what is held whole on one worker, beside its chunks, may take
this much."""


def most_bytes_at_once(dispatch: Dispatch) -> float:
    """The bytes that one worker may hold whole; infinite where no worker has a limit."""
    workers = dispatch.client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker["memory_limit"] for worker in workers if worker["memory_limit"]]
    return SHARE * min(limits, default=float("inf"))
