"""A table with a model's predictions behind its columns."""

from __future__ import annotations

import pyarrow as pa

from lepton_dask.artifacts.predictor import Model, Scores
from lepton_dask.data.labels import label_text
from lepton_dask.data.types import ColumnType, Schema

PREDICTION = "prediction"
REASON = "reason"


def probability_names(model: Model) -> tuple[str, ...]:
    """`probability_<class>` for each class, in the order of the model's classes."""
    return tuple(f"probability_{label_text(label)}" for label in model.classes or ())


def scored_schema(schema: Schema, model: Model) -> dict[str, ColumnType]:
    """The columns of `append_scores`. A column of the input that has one of the new names gives
    way to it."""
    names = (PREDICTION, *probability_names(model), REASON)
    kept = {name: type_ for name, type_ in schema.items() if name not in names}
    made = {name: ColumnType("number") for name in names}
    made[PREDICTION] = prediction_type(model)
    made[REASON] = ColumnType("text")
    return kept | made


def prediction_type(model: Model) -> ColumnType:
    """A label's type, or a number."""
    match model.classes:
        case None:
            return ColumnType("number")
        case (str(), *_):
            return ColumnType("text")
        case (bool(), *_):
            return ColumnType("boolean")
        case (int(), *_):
            return ColumnType("integer")
        case _:
            return ColumnType("number")


def append_scores(table: pa.Table, scores: Scores, model: Model) -> pa.Table:
    """`table` with `prediction`, `probability_<class>` and `reason`; what cannot be scored is null
    there, with the reason."""
    names = (PREDICTION, *probability_names(model), REASON)
    table = table.select([name for name in table.column_names if name not in names])
    unscored = None
    reasons: list[str | None] = [None] * table.num_rows
    if scores.problems is not None:
        reasons = scores.problems.tolist()
        unscored = [reason is not None for reason in reasons]
    arrays = [_predictions(scores, unscored, model)]
    if scores.probabilities is not None:
        arrays += [
            pa.array(column, pa.float64(), mask=_mask(unscored))
            for column in scores.probabilities.T
        ]
    arrays.append(pa.array(reasons, pa.string()))
    for name, array in zip(names, arrays, strict=True):
        table = table.append_column(name, array)
    return table


def _predictions(scores: Scores, unscored: list[bool] | None, model: Model) -> pa.Array:
    types = {
        "number": pa.float64(),
        "text": pa.string(),
        "boolean": pa.bool_(),
        "integer": pa.int64(),
    }
    wanted = types[prediction_type(model).kind]
    if unscored is None:
        return pa.array(scores.predictions, wanted)
    given = [
        None if no else value
        for value, no in zip(scores.predictions.tolist(), unscored, strict=True)
    ]
    return pa.array(given, wanted)


def _mask(unscored: list[bool] | None) -> pa.Array | None:
    return None if unscored is None else pa.array(unscored).to_numpy(zero_copy_only=False)
