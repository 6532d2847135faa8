"""The CSV documents beside a model: how it was learnt, and what was found on the way."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from lepton_dask.learn.descent import Descent
from lepton_dask.learn.inference import Estimate
from lepton_dask.learn.meta.comparison import Comparison
from lepton_dask.learn.meta.loop import Learnt
from lepton_dask.run.values import AnyModelValue, ModelValue

INFERENCE = ("feature", "coefficient", "standard_error", "z", "p", "note")
HISTORY = ("iteration", "passes", "seconds", "loss", "gradient_norm", "validation")
ROUNDS = ("round", "seconds", "held_out", "best")
COMPARISON = ("shots", "model", "metric", "value", "low", "high", "groups")


def learnt_documents(value: AnyModelValue) -> dict[str, str]:
    """By the name of the file."""
    if not isinstance(value, ModelValue):
        fit = value.fitted.fit
        return {"history.csv": rounds(fit.learnt), "comparison.csv": comparison(fit.comparison)}
    documents = {"history.csv": history(value.descent)}
    if value.inference:
        documents["inference.csv"] = inference(value.inference)
    return documents


def history(descent: Descent) -> str:
    """history.csv: a line for each accepted iterate, the start among them."""
    return _csv(
        HISTORY,
        (
            (
                each.iteration,
                f"{each.passes:.6g}",
                f"{each.seconds:.6f}",
                repr(each.loss),
                repr(each.gradient_norm),
                _number(each.validation),
            )
            for each in descent.history
        ),
    )


def inference(estimates: Sequence[Estimate]) -> str:
    """inference.csv: a line for each coefficient on the prepared columns, the intercept last."""
    return _csv(
        INFERENCE,
        (
            (
                each.feature,
                *map(_number, (each.coefficient, each.standard_error, each.z, each.p)),
                each.note,
            )
            for each in estimates
        ),
    )


def rounds(learnt: Learnt) -> str:
    """history.csv of a model learnt from groups: a line for each round, the start among them."""
    return _csv(
        ROUNDS,
        (
            (each.number, f"{each.seconds:.6f}", repr(each.score), repr(each.best))
            for each in learnt.history
        ),
    )


def comparison(compared: Comparison) -> str:
    """comparison.csv: the models on held-out groups, by number of shots, with a 95 % interval."""
    return _csv(
        COMPARISON,
        (
            (
                each.shots,
                each.model,
                compared.metric,
                *map(repr, (each.value, each.low, each.high)),
                each.groups,
            )
            for each in compared.rows
        ),
    )


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()
