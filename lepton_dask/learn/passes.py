"""Passes over shards on a cluster, as the training loop asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.learn.objective import Evaluation, NullModel, Objective, total, total_columns
from lepton_dask.learn.scoring import score
from lepton_dask.learn.sweeps import Dispatch, Shards, Sweeps
from lepton_dask.matrix import Floats


@dataclass(frozen=True)
class ShardPasses:
    """The `Passes` of descent.py over the shards of a training part and, maybe, a validation part.

    The sums are added here, in chunk order, so that no bit depends on who computed them.
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
            Sweeps(dispatch, training, objective.loss),
            None if validation is None else Sweeps(dispatch, validation, objective.loss),
        )

    def null_model(self) -> NullModel:
        return self.objective.null_model(total_columns(self.training.column_sums()))

    def evaluate(self, theta: Floats) -> Evaluation:
        return self.objective.evaluate(theta, total(self.training.sums(theta)))

    def validation_loss(self, theta: Floats) -> float:
        sums = total(self._validated.sums(theta))
        return sums.loss / sums.weight

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        sweeps = self._validated
        predictions = sweeps.predict(theta)
        scores = score(sweeps.dispatch, predictions, [metric], self.objective.loss.task)
        return scores.values[metric]

    @property
    def _validated(self) -> Sweeps:
        if self.validation is None:
            raise ValueError("these passes have no validation part")
        return self.validation
