"""The `meta_train` verb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from lepton_dask.component import Component
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.learn.goal import Goal
from lepton_dask.learn.losses import LOSSES, Loss
from lepton_dask.learn.meta.base import MetaAlgorithm, MetaLoss
from lepton_dask.learn.meta.choice import AlgorithmChoice, chosen_algorithm
from lepton_dask.learn.meta.comparison import metric_of
from lepton_dask.suggest import did_you_mean

DEFAULT_SHOTS = (5, 10, 20)
"""The rows of a new group that adapting is to be good at, where nobody says how many there are."""

INTERCEPT = "intercept"
ALL = "all"


def _ascending(shots: tuple[int, ...]) -> tuple[int, ...]:
    if not shots:
        raise ValueError("is an empty list; put a number of rows into it")
    return tuple(sorted(set(shots)))


Shots = Annotated[int, Field(gt=0)]


class MetaTrain(Component):
    """Learns from many groups what a new group needs only a few rows to adapt to.

    A group's rows have the same value in the column `group`, which is never learnt from. Every
    round is scored on whole groups that are held out: those of the validation part, where the split
    kept groups together, else the share `held_out` of the training groups. Their score is that of
    models adapted to `shots` rows each, on the rows beside.

    `random` is what differs from group to group in a linear model: `all`, `intercept`, or the
    columns that are listed, the intercept always among them.

    Ends as soon as `goal` is met, after `patience` rounds without a better score, when a round
    changes nothing any more, or after `max_rounds`.
    """

    group: str
    algorithm: AlgorithmChoice = "hierarchical_linear"
    loss: MetaLoss = "squared"
    random: Literal["all", "intercept"] | tuple[str, ...] = "all"
    shots: Shots | Annotated[tuple[Shots, ...], AfterValidator(_ascending)] = DEFAULT_SHOTS
    held_out: float = Field(default=0.2, gt=0, lt=1)
    goal: Goal | None = None
    patience: int = Field(default=20, gt=0)
    max_rounds: int = Field(default=500, gt=0)

    @property
    def chosen(self) -> MetaAlgorithm[Any, Any, Any]:
        """The algorithm that is named."""
        return chosen_algorithm(self.algorithm)

    @property
    def all_shots(self) -> tuple[int, ...]:
        """The numbers of shots, ascending."""
        return (self.shots,) if isinstance(self.shots, int) else self.shots

    @property
    def pointwise(self) -> Loss:
        """The loss that is named."""
        return LOSSES[self.loss]()


def meta_train_mistakes(meta: MetaTrain, path: DocumentPath) -> tuple[Mistake, ...]:
    """What a `meta_train` node asks for and cannot have."""
    mistakes = []
    algorithm = meta.chosen
    if meta.loss not in algorithm.losses:
        known = " and ".join(sorted(algorithm.losses))
        found = f"{algorithm.name} is for the {known} loss alone; the loss is {meta.loss}"
        mistakes.append(Mistake((*path, "algorithm"), found, "use hierarchical_linear"))
    if meta.random != ALL and algorithm.name != "hierarchical_linear":
        found = f"{algorithm.name} adapts all of a network"
        fix = "leave random out, or use hierarchical_linear"
        mistakes.append(Mistake((*path, "random"), found, fix))
    metric = metric_of(meta.loss)
    if meta.goal is not None and meta.goal.metric != metric:
        found = f"held-out groups are scored by {metric} under the {meta.loss} loss"
        mistakes.append(Mistake((*path, "goal", "metric"), found, f"write metric: {metric}"))
    return tuple(mistakes)


def random_mask(
    meta: MetaTrain, feature_columns: Sequence[str], path: DocumentPath
) -> NDArray[np.bool_]:
    """(1 + D,): whether the intercept and each coefficient differs between groups;
    `feature_columns` (D) are the columns that the features were made of.

    Raises UserError for a column that no feature is made of.
    """
    if meta.random == ALL:
        return np.ones(1 + len(feature_columns), dtype=bool)
    named = () if meta.random == INTERCEPT else meta.random
    known = list(dict.fromkeys(feature_columns))
    unknown = [
        Mistake((*path, "random", i), f"nothing is learnt from '{name}'", did_you_mean(name, known))
        for i, name in enumerate(named)
        if name not in known
    ]
    if unknown:
        raise UserError(unknown)
    return np.array([True, *(column in named for column in feature_columns)])
