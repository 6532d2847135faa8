"""Suspicion by default: what of a prepared table looks too good, or as if it meant nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lepton_dask.data.profile import Profile
from lepton_dask.data.suspicion import bin_edges, like_ids
from lepton_dask.learn.suspicion import (
    SUSPICIOUS,
    Counts,
    area,
    class_counts,
    level_area,
    split_columns,
)
from lepton_dask.learn.sweeps import Shard, Shards
from lepton_dask.matrix import Floats
from lepton_dask.run.values import FeaturesValue, PartName
from lepton_dask.run.work import Work

MOST_BINS = 256
LEAST_BINS = 8
EDGE_VALUES = 1 << 20
"""Edges of all columns together, 8 MiB: they go along with each task."""


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
    areas = _areas(work, features, part, edges)
    confirmed = areas
    if part != features.table.training() and any(found > SUSPICIOUS for found in areas):
        confirmed = _areas(work, features, features.table.training(), edges)
    columns = [fitted.column for fitted in (*prepared.numbers, *prepared.codes)]
    for column, found, again in zip(columns, areas, confirmed, strict=True):
        if min(found, again) > SUSPICIOUS:
            yield column, found


def _areas(
    work: Work, features: FeaturesValue, part: PartName, edges: Sequence[Floats]
) -> list[float]:
    """The area under the ROC curve of each number and each category by itself, from counts."""
    levels, fitted_on = features.prepared.levels, features.table.training()
    widths = [len(at) + 1 for at in edges]
    counts = _counts(work, features.shards[part], edges)
    dense, codes = counts[: sum(widths)], counts[sum(widths) :]
    learnt = codes
    if levels and part != fitted_on:
        learnt = _counts(work, features.shards[fitted_on], [])
    by_code = zip(split_columns(codes, levels), split_columns(learnt, levels), strict=True)
    return [
        *(area(each) for each in split_columns(dense, widths)),
        *(level_area(each, of_training) for each, of_training in by_code),
    ]


def _counts(work: Work, shards: Shards, edges: Sequence[Floats]) -> Counts:
    futures = work.dispatch.map("alone", _count_shard, shards.futures, edges, shards.layout.levels)
    total: Counts = np.sum(work.gather(futures), axis=0)
    return total


def _count_shard(shard: Shard, edges: Sequence[Floats], levels: Sequence[int]) -> Counts:
    total: Counts = np.sum([class_counts(block, edges, levels) for block in shard], axis=0)
    return total
