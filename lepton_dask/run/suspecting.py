"""Suspicion by default: what of a prepared table looks too good, or as if it meant nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lepton_dask.data.profile import Profile
from lepton_dask.data.suspicion import bin_edges, like_ids
from lepton_dask.learn.stored import Shard
from lepton_dask.learn.suspicion import (
    SUSPICIOUS,
    Counts,
    area,
    class_counts,
    level_area,
    split_columns,
)
from lepton_dask.learn.sweeps import Shards
from lepton_dask.matrix import Floats
from lepton_dask.run.values import FeaturesValue, PartName
from lepton_dask.run.work import Work

MOST_BINS = 256
LEAST_BINS = 8
EDGE_VALUES = 1 << 20
"""Edges of all columns together, 8 MiB: they go along with each task."""

SCREEN_ROWS = 2_000
SCREENED = 0.97
"""Columns are looked at in about so many rows of the rarer class first, and in all rows only where
one exceeds this area there: the standard error of an area of 0.99 is sqrt(0.99 x 0.01 / 2000) =
0.002 at most (Hanley and McNeil, 1982), so that no column of more than SUSPICIOUS stays below. In
few rows levels that are ranked by these rows themselves look better than they are, not worse."""


def suspect(work: Work, features: FeaturesValue, all_rows: Profile, training: Profile) -> None:
    """Warns of features that look like an id, and of those that alone give the answer away."""
    for column, reason in like_ids(features.prepared, all_rows):
        work.warn(
            f"column '{column}' {reason}, and is learnt from as if it meant something: "
            f"`exclude:` it, or name it as the `id:`"
        )
    if features.prepared.classes is None or len(features.prepared.classes) != 2:
        return
    part: PartName = "validation" if "validation" in features.shards else features.table.training()
    where = "validation" if part == "validation" else "training"
    for column, found in _giving_away(work, features, part, training):
        work.warn(
            f"column '{column}' alone ranks the {where} rows with a ROC AUC of {found:.4f}: "
            f"`exclude:` it, if it is only known once the answer is"
        )


def _giving_away(
    work: Work, features: FeaturesValue, part: PartName, training: Profile
) -> Iterator[tuple[str, float]]:
    """The columns that alone rank a part's rows by the answer, each with its area.

    They have to rank the training rows so too, which are only looked at then: in 114 rows of
    validation, one of 30 measurements that ranks with .975 exceeds .99 once in seven splits.
    """
    prepared = features.prepared
    bins = max(LEAST_BINS, min(MOST_BINS, EDGE_VALUES // max(1, len(prepared.numbers))))
    edges = [
        bin_edges(number, training.columns[number.column], bins) for number in prepared.numbers
    ]
    one_of = _one_of(features, part, training)
    areas = _areas(work, features, part, edges, one_of)
    if one_of > 1 and any(found > SCREENED for found in areas):
        areas = _areas(work, features, part, edges)
    confirmed = areas
    if part != features.table.training() and any(found > SUSPICIOUS for found in areas):
        confirmed = _areas(work, features, features.table.training(), edges)
    columns = [fitted.column for fitted in (*prepared.numbers, *prepared.codes)]
    for column, found, again in zip(columns, areas, confirmed, strict=True):
        if min(found, again) > SUSPICIOUS:
            yield column, found


def _one_of(features: FeaturesValue, part: PartName, training: Profile) -> int:
    """How many rows stand behind each that is looked at first: so that about SCREEN_ROWS of the
    rarer class are."""
    target = training.columns[features.prepared.target.column]
    if target.levels is None or not target.count:
        return 1
    share = float(target.levels.counts.min()) / target.count
    return max(1, int(share * features.shards[part].rows / SCREEN_ROWS))


def _areas(
    work: Work,
    features: FeaturesValue,
    part: PartName,
    edges: Sequence[Floats],
    one_of: int = 1,
) -> list[float]:
    """The area under the ROC curve of each number and each category by itself, from counts in one
    of so many rows."""
    levels, fitted_on = features.prepared.levels, features.table.training()
    widths = [len(at) + 1 for at in edges]
    counts = _counts(work, features.shards[part], edges, one_of)
    dense, codes = counts[: sum(widths)], counts[sum(widths) :]
    learnt = codes
    if levels and part != fitted_on:
        learnt = _counts(work, features.shards[fitted_on], [])
    by_code = zip(split_columns(codes, levels), split_columns(learnt, levels), strict=True)
    return [
        *(area(each) for each in split_columns(dense, widths)),
        *(level_area(each, of_training) for each, of_training in by_code),
    ]


def _counts(work: Work, shards: Shards, edges: Sequence[Floats], one_of: int = 1) -> Counts:
    futures = work.dispatch.map(
        "alone", _count_shard, shards.futures, edges, shards.layout.levels, one_of
    )
    total: Counts = np.sum(work.gather(futures), axis=0)
    return total


def _count_shard(
    shard: Shard, edges: Sequence[Floats], levels: Sequence[int], one_of: int
) -> Counts:
    total: Counts = np.sum([class_counts(block, edges, levels, one_of) for block in shard], axis=0)
    return total
