"""The sums over a group's rows that linear models with a squared loss are learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import GroupedRows, Label
from lepton_dask.learn.meta.padded import padded
from lepton_dask.matrix import Floats


class GroupStatistics(NamedTuple):
    """Sums over the rows of T groups, x with a 1 as its first entry.

        weight = sum w,  gram = sum w x x',  moment = sum w x y,  square = sum w y^2

    rows (T,) int64, weight (T,), gram (T, 1 + D, 1 + D), moment (T, 1 + D), square (T,); names
    (T,), ascending as texts. Sums over parts of a group's rows add up to those over all.
    """

    rows: NDArray[np.int64]
    weight: Floats
    gram: Floats
    moment: Floats
    square: Floats
    names: tuple[Label, ...]

    @classmethod
    def of_rows(cls, rows: GroupedRows) -> GroupStatistics:
        """A group without rows has sums of 0."""
        sums = zeros(rows.names, rows.x.shape[1])
        sums.rows[:] = rows.counts
        for batch in padded(rows):
            weighted = batch.x * batch.weight[..., None]
            sums.weight[batch.groups] = batch.weight.sum(axis=1)
            sums.gram[batch.groups] = np.matmul(weighted.transpose(0, 2, 1), batch.x)
            sums.moment[batch.groups] = np.einsum("bnd,bn->bd", weighted, batch.y)
            sums.square[batch.groups] = np.einsum("bn,bn->b", batch.weight, batch.y**2)
        return sums

    def take(self, groups: NDArray[np.intp]) -> GroupStatistics:
        """These groups, in this order."""
        names = tuple(self.names[t] for t in groups)
        return GroupStatistics(
            self.rows[groups],
            self.weight[groups],
            self.gram[groups],
            self.moment[groups],
            self.square[groups],
            names,
        )

    @classmethod
    def merged(cls, parts: Sequence[GroupStatistics]) -> GroupStatistics:
        """The groups of all parts; the sums of a group that several have added in their order."""
        names = tuple(sorted({name for part in parts for name in part.names}, key=str))
        place = {name: t for t, name in enumerate(names)}
        sums = zeros(names, parts[0].moment.shape[1] - 1)
        for part in parts:
            # A part has each of its groups once, so indexing adds all of them.
            groups = np.array([place[name] for name in part.names], dtype=np.intp)
            sums.rows[groups] += part.rows
            sums.weight[groups] += part.weight
            sums.gram[groups] += part.gram
            sums.moment[groups] += part.moment
            sums.square[groups] += part.square
        return sums


def zeros(names: tuple[Label, ...], features: int) -> GroupStatistics:
    """The sums over no rows, of groups with D features."""
    T, d = len(names), 1 + features
    return GroupStatistics(
        np.zeros(T, np.int64),
        np.zeros(T),
        np.zeros((T, d, d)),
        np.zeros((T, d)),
        np.zeros(T),
        names,
    )
