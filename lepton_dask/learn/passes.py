"""Passes over shards on a cluster, as the training loop asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.metrics import scored_task
from lepton_dask.learn.objective import Evaluation, NullModel, Objective, weighted
from lepton_dask.learn.optimizers.base import Outset, Pilot, Query
from lepton_dask.learn.pilot import fit_pilot, may_tell_null, pilot_rows
from lepton_dask.learn.scoring import score
from lepton_dask.learn.sweeps import Shards, Sweeps
from lepton_dask.matrix import Block, Floats


@dataclass(frozen=True)
class ShardPasses:
    """The `Passes` of descent.py over the shards of a training part and, maybe, a validation part.

    No bit of the sums depends on who computed them.
    """

    objective: Objective
    training: Sweeps
    validation: Sweeps | None

    @classmethod
    def over(
        cls, dispatch: Dispatch, objective: Objective, training: Shards, validation: Shards | None
    ) -> ShardPasses:
        return cls(
            objective,
            Sweeps(dispatch, training, objective.model),
            None if validation is None else Sweeps(dispatch, validation, objective.model),
        )

    def null_model(self) -> NullModel:
        return self._begin_null_model()()

    def outset(self) -> Outset:
        if not may_tell_null(self.objective.model.layout):
            looking = self._begin_null_model()  # meanwhile
            fitting = self.pilot()
            return Outset(looking(), fitting())
        pilot = self.pilot()()
        told = None if pilot is None else pilot.null
        return Outset(told or self.null_model(), pilot)

    def _begin_null_model(self) -> Callable[[], NullModel]:
        looking = self.training.begin_column_sums()
        return lambda: self.objective.null_model(weighted(looking()))

    def pilot(self) -> Callable[[], Pilot | None]:
        wanted = pilot_rows(self.objective, self.training.shards.rows)
        if not wanted:
            return lambda: None
        return self.training.with_sample(wanted, partial(_fit, self.objective))

    def evaluate(self, query: Query) -> Evaluation:
        sums = weighted(self.training.sums(query))
        return self.objective.evaluate(query.theta, sums, query.smoothing)

    def validation_loss(self, theta: Floats) -> float:
        sums = weighted(self._validated.sums(Query(theta)))
        return sums.loss / sums.weight

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        sweeps = self._validated
        predictions = sweeps.predict(theta)
        task = scored_task(self.objective.model.loss)
        scores = score(sweeps.dispatch, predictions, [metric], task)
        return scores.values[metric]

    @property
    def _validated(self) -> Sweeps:
        if self.validation is None:
            raise ValueError("these passes have no validation part")
        return self.validation


def _fit(objective: Objective, rows: Block, share: float) -> Pilot | None:
    return fit_pilot(objective, [rows], share)
