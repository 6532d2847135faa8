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
    if features.prepared.classes is None:
        return
    part: PartName = "validation" if "validation" in features.shards else features.table.training()
    where = "validation" if part == "validation" else "training"
    for column, found in _areas_alone(work, features, part, training):
        if found > SUSPICIOUS:
            work.warn(
                f"column '{column}' alone ranks the {where} rows with a ROC AUC of {found:.4f}: "
                f"`exclude:` it, if it is only known once the answer is"
            )


def _areas_alone(
    work: Work, features: FeaturesValue, part: PartName, training: Profile
) -> Iterator[tuple[str, float]]:
    """The area under the ROC curve of each feature's column by itself, from counts alone."""
    prepared = features.prepared
    bins = max(LEAST_BINS, min(MOST_BINS, EDGE_VALUES // max(1, len(prepared.numbers))))
    edges = [
        bin_edges(number, training.columns[number.column], bins) for number in prepared.numbers
    ]
    widths = [len(at) + 1 for at in edges]
    counts = _counts(work, features.shards[part], edges)
    levels = prepared.levels
    dense, codes = counts[: sum(widths)], counts[sum(widths) :]
    learnt = codes
    if levels and part != features.table.training():
        learnt = _counts(work, features.shards[features.table.training()], [])
    for number, each in zip(prepared.numbers, split_columns(dense, widths), strict=True):
        if (found := area(each)) is not None:
            yield number.column, found
    by_code = zip(split_columns(codes, levels), split_columns(learnt, levels), strict=True)
    for code, (each, of_training) in zip(prepared.codes, by_code, strict=True):
        if (found := level_area(each, of_training)) is not None:
            yield code.column, found


def _counts(work: Work, shards: Shards, edges: Sequence[Floats]) -> Counts:
    futures = work.dispatch.map("alone", _count_shard, shards.futures, edges, shards.levels)
    total: Counts = np.sum(work.gather(futures), axis=0)
    return total


def _count_shard(shard: Shard, edges: Sequence[Floats], levels: Sequence[int]) -> Counts:
    total: Counts = np.sum([class_counts(block, edges, levels) for block in shard], axis=0)
    return total
