"""Scoring predictions where they lie: metrics, label counts, decision thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask import delayed
from dask.delayed import Delayed

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.dispatch import Dispatch, in_chunk_order
from lepton_dask.learn.evaluate import Threshold
from lepton_dask.learn.losses import Task
from lepton_dask.learn.metrics import (
    METRICS,
    OF_MANY,
    ClassMetric,
    NumberMetric,
    RankMetric,
    Score,
    ScoredTask,
    Undefined,
)
from lepton_dask.learn.ranking import (
    RANGE_ROWS,
    RangeTally,
    Ranks,
    concordance,
    cut,
    merge,
    range_tally,
    rank,
    sample,
    splitters,
)
from lepton_dask.learn.sweeps import Predictions
from lepton_dask.learn.tallies import (
    ClassTally,
    ManyTally,
    NumberTally,
    Predicted,
    Tally,
    class_tally,
    many_tally,
    merged_classes,
    merged_many,
    merged_numbers,
    number_tally,
    present,
)
from lepton_dask.matrix import Floats

DEFAULT_THRESHOLD = 0.5

COMPANIONS = {"recall": "precision", "precision": "recall"}
"""What a threshold that keeps a bound on the one is otherwise best for; else the metric itself."""


@dataclass(frozen=True)
class Scores:
    """Metrics on some rows, and what the rows are.

    A metric without a value on them is None in `values`, with the reason in `undefined`. `rows`
    have a prediction, `skipped` have none; `labels` counts those of each class, in the order of
    the classes, and is empty where the target is a number.
    """

    values: dict[str, float | None]
    undefined: dict[str, str]
    rows: int
    skipped: int
    weight: float
    labels: tuple[int, ...]

    @property
    def positives(self) -> int | None:
        """The rows of the positive class of two."""
        return self.labels[1] if len(self.labels) == 2 else None


def score(
    dispatch: Dispatch,
    predictions: Predictions,
    metrics: Sequence[str],
    task: ScoredTask,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    range_rows: int = RANGE_ROWS,
) -> Scores:
    """The metrics of a part's predictions, which stay on the workers but for their sums.

    `metrics` are names of METRICS for `task`, of OF_MANY for `many_classes`. `range_rows` bounds
    what ranking holds in one place.
    """
    if task == "many_classes":
        return _score_many(dispatch, predictions, metrics)
    chosen = [METRICS[name] for name in metrics]
    tallies = [_task(_tally_group, group, task, threshold) for group in predictions.groups]
    ranked = any(isinstance(metric, RankMetric) for metric in chosen)
    ranges = _ranges(predictions, range_rows) if ranked else []
    results = dispatch.compute([*tallies, *(_task(range_tally, ranks) for ranks in ranges)])
    rows = in_chunk_order(predictions.chunks, results[: len(tallies)])
    pairs: list[RangeTally] = results[len(tallies) :]
    if task == "classification":
        classes = merged_classes(rows)
        positives = int(classes.positives)
        return _scores(
            {m.name: _class_score(m, classes, pairs) for m in chosen},
            classes,
            (int(classes.rows) - positives, positives),
        )
    numbers = merged_numbers(rows)
    return _scores({m.name: _number_score(m, numbers) for m in chosen}, numbers, ())


def _score_many(dispatch: Dispatch, predictions: Predictions, metrics: Sequence[str]) -> Scores:
    groups = dispatch.compute([_task(_tally_many, group) for group in predictions.groups])
    tally = merged_many(in_chunk_order(predictions.chunks, groups))
    scores = {name: OF_MANY[name].score(tally) for name in metrics}
    return _scores(scores, tally, tuple(int(rows) for rows in tally.labels))


def choose_threshold(
    dispatch: Dispatch,
    predictions: Predictions,
    wanted: Threshold,
    *,
    range_rows: int = RANGE_ROWS,
) -> float | None:
    """The decision threshold that keeps `wanted.metric` at the bound and is otherwise best.

    All distinct predictions are tried. Among those that keep the bound the one with the best
    companion metric wins (precision for recall, recall for precision, else the metric itself),
    then the highest. None where no threshold keeps the bound.
    """
    ranges = _ranges(predictions, range_rows)
    tallies = [_task(range_tally, ranks) for ranks in ranges]
    tasks = [_task(_best_of_range, ranks, tallies, i, wanted) for i, ranks in enumerate(ranges)]
    found = [best for best in dispatch.compute(tasks) if best is not None]
    return max(found)[1] if found else None


def _ranges(predictions: Predictions, range_rows: int) -> list[Delayed]:
    """The rows' Ranks in ranges, lowest first, each merged over all chunks."""
    ranked = [_task(_rank_group, group) for group in predictions.groups]
    count = max(1, math.ceil(predictions.rows / range_rows))
    if count == 1:
        return [_task(_merge_groups, predictions.chunks, ranked)]
    samples = [_task(_sample_group, group, count) for group in ranked]
    at = _task(_splitters, predictions.chunks, samples, count)
    cuts = [_task(_cut_group, group, at) for group in ranked]
    pieces = [[_task(_piece, group, i) for group in cuts] for i in range(count)]
    return [_task(_merge_groups, predictions.chunks, piece) for piece in pieces]


def _task(function: Callable[..., Any], *arguments: Any) -> Delayed:
    return delayed(function, pure=False)(*arguments)


def _class_score(metric: object, tally: ClassTally, pairs: Sequence[RangeTally]) -> Score:
    if isinstance(metric, RankMetric):
        return metric.score(pairs)
    assert isinstance(metric, ClassMetric)
    return metric.score(tally)


def _number_score(metric: object, tally: NumberTally) -> Score:
    assert isinstance(metric, NumberMetric)
    return metric.score(tally)


def _scores(scores: dict[str, Score], tally: Tally, labels: tuple[int, ...]) -> Scores:
    undefined = {name: s.reason for name, s in scores.items() if isinstance(s, Undefined)}
    return Scores(
        values={name: None if isinstance(s, Undefined) else s for name, s in scores.items()},
        undefined=undefined,
        rows=int(tally.rows),
        skipped=int(tally.skipped),
        weight=float(tally.weight),
        labels=labels,
    )


def _tally_group(group: Sequence[Predicted], task: Task, threshold: float) -> list[Tally]:
    pin_blas()
    if task == "classification":
        return [class_tally(predicted, threshold) for predicted in group]
    return [number_tally(predicted) for predicted in group]


def _tally_many(group: Sequence[Predicted]) -> list[ManyTally]:
    pin_blas()
    return [many_tally(predicted) for predicted in group]


def _rank_group(group: Sequence[Predicted]) -> list[Ranks]:
    rows = map(present, group)
    return [rank(chunk.target, chunk.prediction, chunk.weight) for chunk in rows]


def _sample_group(group: Sequence[Ranks], ranges: int) -> list[Floats]:
    return [sample(ranks, ranges) for ranks in group]


def _splitters(
    chunks: Sequence[Sequence[int]], samples: Sequence[Sequence[Floats]], ranges: int
) -> Floats:
    return splitters(in_chunk_order(chunks, samples), ranges)


def _cut_group(group: Sequence[Ranks], at: Floats) -> list[tuple[Ranks, ...]]:
    return [cut(ranks, at) for ranks in group]


def _piece(group: Sequence[Sequence[Ranks]], number: int) -> list[Ranks]:
    return [pieces[number] for pieces in group]


def _merge_groups(chunks: Sequence[Sequence[int]], groups: Sequence[Sequence[Ranks]]) -> Ranks:
    return merge(in_chunk_order(chunks, groups))


def _best_of_range(
    ranks: Ranks, tallies: Sequence[RangeTally], number: int, wanted: Threshold
) -> tuple[float, float] | None:
    """The best companion value and its threshold among a range's predictions, if any will do."""
    above, whole = concordance(tallies[number + 1 :]), concordance(tallies)
    true_positive = above.positive + np.cumsum(ranks.positive[::-1])[::-1]
    false_positive = above.negative + np.cumsum(ranks.negative[::-1])[::-1]
    tally = ClassTally(
        weight=whole.positive + whole.negative,
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=whole.positive - true_positive,
        true_negative=whole.negative - false_positive,
    )
    keeps = _thresholded(wanted.metric).formula(tally) >= wanted.at_least
    if not keeps.any():
        return None
    companion = _thresholded(COMPANIONS.get(wanted.metric, wanted.metric)).formula(tally)
    best = max(zip(companion[keeps], ranks.prediction[keeps], strict=True))
    return float(best[0]), float(best[1])


def _thresholded(name: str) -> ClassMetric:
    metric = METRICS[name]
    assert isinstance(metric, ClassMetric)
    return metric
