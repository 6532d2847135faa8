"""Rows that were checked, what must be known of all of them, and the blocks that they become.

Every function here is pure and takes the rows of one part: of a table in memory, which is one
part, or of a Dask collection, whose parts are its partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Column, NumberColumn, TextColumn
from lepton_dask.data.labels import Label, label_codes
from lepton_dask.data.prepared import FittedCategory
from lepton_dask.matrix import Block, Floats, Layout, Sparse

Labels = NDArray[Any]


class CheckedRows(NamedTuple):
    """n rows as the user gave them: finite numbers, and texts as indices into their levels.

    dense (n, P) float64 or float32, C-ordered; categories, a column of n for each; sparse, a
    scipy CSR matrix of n rows in the place of all others, or None; target (n,), labels of any
    type or float64; weight (n,) float64.
    """

    dense: Floats
    categories: tuple[Column, ...]
    sparse: Any
    target: NDArray[Any]
    weight: Floats

    @property
    def rows(self) -> int:
        return len(self.target)


class Summary(NamedTuple):
    """What fitting must know of all rows before any becomes a block.

    `labels` (K,), in ascending order, and the weight of each, (K,): for classes alone, else
    empty. `lowest` and `highest` of the target, and its weighted sum and sum of squares: for
    numbers alone. `weight` is the sum of all.
    `levels`, the distinct values of each category column, and whether some are `missing`.
    """

    rows: int
    weight: float
    labels: Labels
    label_weights: Floats
    lowest: float
    highest: float
    target: float
    target_squares: float
    levels: tuple[frozenset[Label], ...]
    missing: tuple[bool, ...]

    @property
    def spread(self) -> float:
        """The standard deviation of the target, weighted."""
        mean = self.target / self.weight
        return float(np.sqrt(max(self.target_squares / self.weight - mean**2, 0.0)))


def summarise(checked: CheckedRows, classes: bool) -> Summary:
    """The summary of one part."""
    target, weight = checked.target, checked.weight
    labels, label_weights = np.empty(0), np.empty(0)
    lowest, highest, total, squares = np.inf, -np.inf, 0.0, 0.0
    if classes:
        labels, codes = np.unique(target, return_inverse=True)
        label_weights = _counted(codes, weight, len(labels))
    elif len(target):
        lowest, highest = float(target.min()), float(target.max())
        total, squares = float(weight @ target), float(weight @ np.square(target))
    return Summary(
        checked.rows,
        float(weight.sum()),
        labels,
        label_weights,
        lowest,
        highest,
        total,
        squares,
        tuple(_levels(column) for column in checked.categories),
        tuple(bool(column.missing.any()) for column in checked.categories),
    )


def united(summaries: Sequence[Summary]) -> Summary:
    """The summary of all parts, in their order."""
    return reduce(_both, summaries)


def fitted_categories(names: Sequence[str], summary: Summary) -> tuple[FittedCategory, ...]:
    """The levels that each category column has in the data, in ascending order."""
    return tuple(
        FittedCategory(name, tuple(sorted(levels)), missing)
        for name, levels, missing in zip(names, summary.levels, summary.missing, strict=True)
    )


def level_count(category: FittedCategory) -> int:
    """How many coefficients a category column has: one a level, and one for missing values if
    training had some. A level that training has not seen has none: it changes no prediction."""
    return len(category.levels) + category.has_missing


def level_names(category: FittedCategory) -> list[str]:
    """`job=clerk`, ..., and `job=(missing)` if training had some."""
    return [name for i, name in enumerate(category.features) if i != len(category.levels)]


def level_codes(category: FittedCategory, column: Column) -> NDArray[np.int32]:
    """Codes (n,) in [0, L'], of which the last, L' = `level_count`, is what has no coefficient."""
    levels = len(category.levels)
    codes = label_codes(column, category.levels, category.has_missing)
    if not category.has_missing:
        return codes
    # Of FittedCategory other comes before missing: they change places.
    swapped = np.array([*range(levels), levels + 1, levels], dtype=np.int32)
    return swapped[codes]


def layout(checked: CheckedRows, categories: Sequence[FittedCategory]) -> Layout:
    """The columns of the design matrix; any part has the same."""
    return Layout(
        checked.dense.shape[1],
        tuple(level_count(category) for category in categories),
        0 if checked.sparse is None else checked.sparse.shape[1],
    )


def block(
    checked: CheckedRows, categories: Sequence[FittedCategory], labels: Labels | None
) -> Block:
    """The rows as training reads them; `labels` (K,) where the target is one of them."""
    codes = np.empty((checked.rows, len(categories)), dtype=np.int32)
    for q, (category, column) in enumerate(zip(categories, checked.categories, strict=True)):
        codes[:, q] = level_codes(category, column)
    target = checked.target if labels is None else np.searchsorted(labels, checked.target)
    return Block(
        checked.dense,
        codes,
        np.ascontiguousarray(target, dtype=np.float64),
        checked.weight,
        None if checked.sparse is None else _compressed(checked.sparse),
    )


def every(rows: Block, step: int) -> Block:
    """Every `step`-th row of a block, from the first."""
    sparse = rows.sparse
    if sparse is not None:
        lengths = np.diff(sparse.starts)
        kept = np.repeat(np.arange(len(lengths)) % step == 0, lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[::step])])
        sparse = Sparse(starts, sparse.columns[kept], sparse.values[kept])
    return Block(
        rows.dense[::step].copy(),
        np.ascontiguousarray(rows.codes[::step]),
        np.ascontiguousarray(rows.target[::step]),
        np.ascontiguousarray(rows.weight[::step]),
        sparse,
    )


def _compressed(matrix: Any) -> Sparse:
    # Hashed texts are float32; numbers that a user made keep their precision.
    return Sparse(
        np.asarray(matrix.indptr, dtype=np.int64),
        np.asarray(matrix.indices, dtype=np.int32),
        np.asarray(matrix.data),
    )


def _levels(column: Column) -> frozenset[Label]:
    match column:
        case TextColumn(codes, levels):
            return frozenset(levels[code] for code in np.unique(codes) if code >= 0)
        case NumberColumn(values, missing):
            return frozenset(np.unique(values[~missing]).tolist())
    raise TypeError("dates and timestamps are not categories")


def _counted(codes: NDArray[np.intp], weight: Floats, count: int) -> Floats:
    """The weight of each of `count` codes."""
    return np.bincount(codes, weight, minlength=count).astype(np.float64)


def _both(one: Summary, other: Summary) -> Summary:
    labels, places = np.unique(
        np.concatenate([one.labels, other.labels]) if len(one.labels) else other.labels,
        return_inverse=True,
    )
    label_weights = np.concatenate([one.label_weights, other.label_weights])
    return Summary(
        one.rows + other.rows,
        one.weight + other.weight,
        labels,
        _counted(places, label_weights, len(labels)),
        min(one.lowest, other.lowest),
        max(one.highest, other.highest),
        one.target + other.target,
        one.target_squares + other.target_squares,
        tuple(a | b for a, b in zip(one.levels, other.levels, strict=True)),
        tuple(a or b for a, b in zip(one.missing, other.missing, strict=True)),
    )
