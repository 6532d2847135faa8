"""Passes over a share of the rows: the lower rungs of a search by rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lepton_dask.learn.descent import Passes
from lepton_dask.learn.kernels.sums import Batch
from lepton_dask.learn.objective import Evaluation, NullModel
from lepton_dask.learn.optimizers.base import Outset, Pilot, Query
from lepton_dask.matrix import Floats


@dataclass(frozen=True)
class SomeRows:
    """The `Passes` of descent.py over one of `of` batches of the rows, always the same one."""

    passes: Passes
    of: int

    def null_model(self) -> NullModel:
        return self.passes.null_model()

    def outset(self) -> Outset:
        return Outset(self.null_model(), None)

    def pilot(self) -> Callable[[], Pilot | None]:
        """To None: the rows are few already."""
        return lambda: None

    def evaluate(self, query: Query) -> Evaluation:
        if query.batch is not None:
            return self.passes.evaluate(query)
        return self.passes.evaluate(replace(query, batch=Batch(0, self.of)))

    def validation_loss(self, theta: Floats) -> float:
        return self.passes.validation_loss(theta)

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        return self.passes.validation_metric(theta, metric)
