"""The linear model whose coefficients differ between groups, by a distribution that is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaAlgorithm, Setting
from lepton_dask.learn.meta.expectation import Expected, expected, posterior, random_columns
from lepton_dask.learn.meta.maximisation import next_prior
from lepton_dask.learn.meta.normal_prior import NormalPrior, random_prior
from lepton_dask.learn.meta.statistics import GroupStatistics
from lepton_dask.learn.meta.variational import working_statistics

PARTS = 16
"""Sums over groups may be added in any parts; so many keep as many threads busy."""


class HierarchicalLinear(MetaAlgorithm[NormalPrior, GroupStatistics | GroupedRows, Expected]):
    """w_t ~ N(m, Sigma) on the random columns, w_t = m on the others.

    squared     y = x'w_t + e, e ~ N(0, sigma^2); learnt from each group's sums alone, so that a
                round costs the same however many rows there are (Laird, Ware: Biometrics 38, 1982)
    logistic    P(y = 1) = 1 / (1 + exp(-x'w_t)); the distribution of w_t given a group's rows is
                replaced by the nearest normal one (Ormerod, Wand: JCGS 21, 2012)

    Each round is a step of an EM algorithm: see `maximisation.py`. A new group's model is the mean
    of w_t given its rows: between m, where it has none, and its own fit, where it has many.

    `independence` is the weight of the belief that random coefficients tell nothing of each other,
    as a number of groups for each random coefficient beside the first. Rounds have converged when
    one is not sure to gain `tolerance` in log-likelihood: what is left to gain then says nothing
    about m, Sigma and sigma, some of which the groups may hardly tell and which change for long.
    """

    name = "hierarchical_linear"
    refits = True

    independence: float = Field(default=0.5, gt=0)
    tolerance: float = Field(default=1e-3, gt=0)

    @property
    def parts(self) -> int:
        return PARTS

    def keep(self, setting: Setting, rows: GroupedRows) -> GroupStatistics | GroupedRows:
        return GroupStatistics.of_rows(rows) if setting.loss == "squared" else rows

    def held_bytes(self, setting: Setting, groups: int) -> int:
        d = 1 + len(setting.features)
        return 8 * groups * (d * d + d + 3) if setting.loss == "squared" else 0

    def start(self, setting: Setting, seed: int) -> NormalPrior:
        return random_prior(setting, seed)

    def work(
        self,
        setting: Setting,
        prior: NormalPrior,
        held: GroupStatistics | GroupedRows,
        seed: int,  # noqa: ARG002 - nothing is drawn
    ) -> Expected:
        columns = random_columns(setting.random)
        sums = working_statistics(prior, held, columns) if isinstance(held, GroupedRows) else held
        return expected(prior, sums, columns)

    def combine(
        self, setting: Setting, prior: NormalPrior, messages: Sequence[Expected]
    ) -> NormalPrior:
        columns = random_columns(setting.random)
        return next_prior(
            prior,
            Expected.added(messages),
            columns,
            self.independence * max(len(columns) - 1, 0),
            has_sigma=setting.loss == "squared",
        )

    def has_converged(self, before: NormalPrior, after: NormalPrior) -> bool:  # noqa: ARG002 - the last round tells
        return after.gain <= self.tolerance

    def adapt(self, setting: Setting, prior: NormalPrior, rows: GroupedRows) -> tuple[Adapted, ...]:
        columns = random_columns(setting.random)
        if setting.loss == "squared":
            sums = GroupStatistics.of_rows(rows)
        else:
            sums = working_statistics(prior, rows, columns)
        w = np.tile(prior.m, (len(rows.names), 1))
        w[:, columns] += posterior(prior, sums, columns).mean
        return tuple(Adapted(own[1:], float(own[0])) for own in w)

    def prior_of(self, arrays: Mapping[str, NDArray[Any]]) -> NormalPrior:
        return NormalPrior.of_arrays(arrays)
