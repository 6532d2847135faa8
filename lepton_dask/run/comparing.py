"""What a model is compared with: baselines, and itself from group to group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.columns import NumberColumn
from lepton_dask.data.hashing import distinct_texts
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.tables import Partition
from lepton_dask.learn.metrics import scored_task
from lepton_dask.learn.objective import unpenalised
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.scoring import Scores, score
from lepton_dask.learn.sweeps import Predictions, Sweeps
from lepton_dask.learn.tallies import Predicted
from lepton_dask.plan.models import MEAN
from lepton_dask.run.outcome import Scores as Values
from lepton_dask.run.values import AnyModelValue
from lepton_dask.run.work import Work

MOST_LEVELS = 50
"""Levels of `by` that are scored one by one; a column with more is no group to compare."""


def baseline_scores(
    work: Work, name: str, value: AnyModelValue, metrics: Sequence[str]
) -> dict[str, Scores]:
    loss = value.linear.loss
    features = value.features
    if name == MEAN:
        training = features.shards[features.table.training()]
        objective = unpenalised(value.linear)
        null = ShardPasses.over(work.dispatch, objective, training, None).null_model()
        predictions = {
            part: Sweeps(work.dispatch, shards, value.linear).predict(null.theta)
            for part, shards in features.shards.items()
        }
    else:
        predictions = {
            part: Predictions.of_chunks(
                work.map(
                    "baseline", _column, table.partitions, repeat(features.prepared), repeat(name)
                ),
                features.shards[part].rows,
            )
            for part, table in features.table.parts.items()
        }
    return {
        part: score(work.dispatch, each, metrics, scored_task(loss))
        for part, each in predictions.items()
    }


def _column(rows: Partition, prepared: Prepared, name: str) -> list[Predicted]:
    """A column's values as predictions; a missing one is none."""
    columns = to_columns(rows.table)
    target, weight, usable = prepared.target_and_weight(columns)
    column = columns[name]
    assert isinstance(column, NumberColumn)
    values = np.where(column.missing, np.nan, column.values)
    return [Predicted(target[usable], values[usable], weight[usable])]


def scores_by_level(
    work: Work, by: str, value: AnyModelValue, metrics: Sequence[str]
) -> dict[str, dict[str, Values]]:
    """by[part][level]: the scores of the rows with each value of a column."""
    task = scored_task(value.linear.loss)
    threshold = value.model.threshold
    outputs = () if task != "many_classes" else (value.linear.outputs,)
    found: dict[str, dict[str, Values]] = {}
    for part, table in value.features.table.parts.items():
        chunks = work.map("by", _grouped, table.partitions, repeat(value), repeat(by))
        present = work.gather(work.map("levels", list, chunks))
        levels = sorted({level for chunk in present for level in chunk})
        if len(levels) > MOST_LEVELS:
            work.warn(f"'{by}' has {len(levels)} values: too many to score one by one")
            return {}
        found[part] = {}
        for level in levels:
            tasks = work.map("level", _of_level, chunks, repeat(level), repeat(outputs))
            predictions = Predictions.of_chunks(tasks, value.features.shards[part].rows)
            scores = score(work.dispatch, predictions, metrics, task, threshold=threshold)
            counts: dict[str, float | None] = {"rows": scores.rows}
            if scores.positives is not None:
                counts["positives"] = scores.positives
            found[part][level] = counts | scores.values
    return found


def _grouped(rows: Partition, value: AnyModelValue, by: str) -> dict[str, Predicted]:
    """A chunk's targets and predictions, by the text of a column's value."""
    columns = to_columns(rows.table)
    target, weight, usable = value.features.prepared.target_and_weight(columns)
    scores = value.model.score_columns(columns)
    made = scores.predictions if scores.probabilities is None else scores.probabilities
    if scores.probabilities is not None and not value.model.is_multinomial:
        made = scores.probabilities[:, 1]
    codes, texts = distinct_texts(rows.table[by])
    groups = {}
    for code, text in enumerate(texts):
        own = usable & (codes == code)
        if own.any():
            predicted = Predicted(target[own], np.asarray(made, float)[own], weight[own])
            groups["(missing)" if text is None else text] = predicted
    return groups


def _of_level(
    groups: Mapping[str, Predicted], level: str, outputs: tuple[int, ...]
) -> list[Predicted]:
    """The rows of a level in a chunk; a prediction has the shape `outputs`."""
    nothing = np.empty(0)
    return [groups.get(level, Predicted(nothing, np.empty((0, *outputs)), nothing))]
