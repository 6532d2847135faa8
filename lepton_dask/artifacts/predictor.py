"""A trained model that predicts with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.artifacts.frames import (
    Frame,
    InputColumn,
    MissingValues,
    ReadFrame,
    read_frame,
)
from lepton_dask.artifacts.replay import Played, ReplayStep, Tables, play
from lepton_dask.artifacts.side_table import SideTable
from lepton_dask.artifacts.stored_prior import StoredPrior
from lepton_dask.data.columns import Columns
from lepton_dask.data.labels import Label
from lepton_dask.data.prepared import Floats, Prepared, Problems, Rows
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.layers import Layer, expanded, through
from lepton_dask.learn.links import LINKS
from lepton_dask.matrix import Sparse
from lepton_dask.suggest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.5

MULTINOMIAL = "multinomial"

PRODUCTS_AT_A_TIME = 1 << 20
"""Products of sparse values and coefficients that are held at a time: 8 MiB."""


class Scores(NamedTuple):
    """What a model says of n rows.

    linear (n,) is the linear predictor, of a multinomial model (n, K); probabilities (n, K) in the
    order of the classes, None without classes; predictions (n,) are labels, or numbers without
    classes. Rows that cannot be scored have NaN, NaN and None (NaN for numbers), and their reason
    in `problems`, which is None when there are none. others (Q,) counts the rows whose level of
    each code column is none of the learnt ones.
    """

    linear: Floats
    probabilities: Floats | None
    predictions: NDArray[Any]
    problems: Problems | None
    others: NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """How the files were read that a model was trained on, for reading others like them: the
    `read` node as JSON without its path, and every column that it yielded, in order.

    `captures` are the columns that came out of the files' paths, `patterns` the base names that
    they stood in: `Building_{home}.csv`.
    """

    read: Mapping[str, Any]
    columns: tuple[InputColumn, ...]
    captures: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted preparation and a linear model over it: z = x'b + b_0, mean = inverse link of z.

    `inputs` are the columns that it needs, as the first `read` yields them; `replay` leads from
    there to the columns that `prepared` takes. `coefficient_array` (D,) is in the order of
    `features`; a multinomial model has (D, K), and K intercepts, in the order of the classes, of
    which it predicts the most probable. `threshold` is the least probability of the positive class
    of two that predicts it. `loss_parameters` are what the loss was told beside its name. `tables`
    are what the replay looks into beside the rows.

    With `hidden` layers x goes through them first, categories as columns of 0 and 1, and
    `coefficient_array` (H,) is in the order of the last one's outputs. A model that was learnt from
    many groups has a `prior`, from which `lepton adapt` makes the model of a new one.
    """

    name: str
    created: str
    version: str
    source: Source
    inputs: tuple[InputColumn, ...]
    missing_values: MissingValues
    replay: tuple[ReplayStep, ...]
    prepared: Prepared
    loss: str
    coefficient_array: Floats
    intercept: float | tuple[float, ...]
    threshold: float = DEFAULT_THRESHOLD
    tables: tuple[SideTable, ...] = ()
    loss_parameters: Mapping[str, float] = field(default_factory=dict)
    hidden: tuple[Layer, ...] = ()
    prior: StoredPrior | None = None

    def __post_init__(self) -> None:
        outputs = (len(self.classes or ()),) if self.is_multinomial else ()
        inputs = len(self.hidden[-1].bias) if self.hidden else len(self.features)
        shape = (inputs, *outputs)
        if self.coefficient_array.shape != shape or np.shape(self.intercept) != outputs:
            raise ValueError(f"{self.coefficient_array.shape} coefficients, {shape} are needed")

    @property
    def is_multinomial(self) -> bool:
        """Whether every class has coefficients of its own."""
        return self.loss == MULTINOMIAL

    @property
    def features(self) -> tuple[str, ...]:
        return self.prepared.features

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """The labels in order, two as (negative, positive); None where a number is predicted."""
        return self.prepared.classes

    @property
    def coefficients(self) -> pd.Series[float] | pd.DataFrame:
        """The coefficients on the prepared columns, by feature; of a multinomial model a column for
        each class. TypeError for a network, which has none."""
        # Here and not above: predicting needs no pandas.
        import pandas as pd

        if self.hidden:
            raise TypeError("the model is a network: its features have no coefficients")
        if self.is_multinomial:
            labels = list(self.classes or ())
            return pd.DataFrame(self.coefficient_array, list(self.features), labels)
        return pd.Series(self.coefficient_array, index=list(self.features), name="coefficient")

    def predict(self, frame: Frame, tables: Mapping[str, Frame] | None = None) -> NDArray[Any]:
        """For every row its label, or the number; None or NaN where it cannot be scored.

        `frame` is a pandas DataFrame or a mapping of name to array, its rows as the first `read`
        yields them; the target column is not needed. `tables` are those that the model joins and
        that do not travel in it, as the steps of these names yield them. Raises UserError for
        missing columns or tables and for columns of another type than the model's.
        """
        return self._score(frame, tables).predictions

    def predict_proba(self, frame: Frame, tables: Mapping[str, Frame] | None = None) -> Floats:
        """(n, K) probabilities, columns in the order of `classes`; NaN for rows that cannot be
        scored. TypeError for a model without classes."""
        probabilities = self._score(frame, tables).probabilities
        if probabilities is None:
            raise TypeError("the model predicts a number: it has no classes")
        return probabilities

    def decision_function(self, frame: Frame, tables: Mapping[str, Frame] | None = None) -> Floats:
        """(n,) linear predictor, (n, K) of a multinomial model; NaN for rows that cannot be
        scored."""
        return self._score(frame, tables).linear

    def problems(self, frame: Frame, tables: Mapping[str, Frame] | None = None) -> Problems:
        """(n,) in words why a row cannot be scored; None for rows that can."""
        scores = self._score(frame, tables)
        return np.full(len(scores.linear), None) if scores.problems is None else scores.problems

    def score_columns(self, columns: Columns) -> Scores:
        """Scores from the columns that `prepared` takes; the same for chunks on a cluster."""
        rows = self.prepared.apply(columns)
        return self._scores(rows, rows.problems)

    def read_tables(self, given: Mapping[str, Frame] | None = None) -> Tables:
        """The tables that the replay looks into: those that travel, and those that are `given`.

        Raises UserError for one that is neither, or that the model does not know, and for a value
        in one that cannot be read.
        """
        given = given or {}
        asked = {table.name: table for table in self.tables if table.rows is None}
        mistakes = [
            Mistake(
                (name,),
                f"the model joins the table '{name}', which does not travel in it",
                "give it with the rows",
            )
            for name in asked
            if name not in given
        ]
        mistakes += [
            Mistake((name,), "the model asks for no such table", did_you_mean(name, asked))
            for name in given
            if name not in asked
        ]
        if mistakes:
            raise UserError(mistakes)
        kept = {table.name: table.rows for table in self.tables if table.rows is not None}
        read = {name: read_frame(given[name], table.columns) for name, table in asked.items()}
        # A row to predict has a reason of its own; one to join has rows that would not know why.
        wrong = [
            Mistake((name,), f"row {row:,}: {reason}")
            for name, frame in read.items()
            for row, reason in list(frame.problems.items())[:1]
        ]
        if wrong:
            raise UserError(wrong)
        return {**kept, **{name: frame.columns for name, frame in read.items()}}

    def _score(self, frame: Frame, tables: Mapping[str, Frame] | None) -> Scores:
        rows = read_frame(frame, self.inputs, self.missing_values)
        return self.score_rows(self.replayed(rows, self.read_tables(tables)).frame)

    @property
    def looks_back(self) -> bool:
        """Whether rows depend on those before them: then they are to be played in order."""
        return any(step.carries for step in self.replay)

    def replayed(self, given: ReadFrame, tables: Tables) -> Played:
        """Rows as the first `read` yields them with the columns that `prepared` takes, and the
        tables for the rows behind them."""
        return play(self.replay, given, tables)

    def score_rows(self, given: ReadFrame) -> Scores:
        """Scores of replayed rows."""
        rows = self.prepared.apply(given.columns)
        problems = rows.problems
        if given.problems:
            problems = np.full(given.rows, None) if problems is None else problems.copy()
            for row, reason in given.problems.items():
                problems[row] = reason
        return self._scores(rows, problems)

    def _scores(self, rows: Rows, problems: Problems | None) -> Scores:
        linear = self._linear(rows)
        scored = np.ones(len(linear), dtype=bool)
        if problems is not None:
            scored = np.array([problem is None for problem in problems], dtype=bool)
        linear[~scored] = np.nan
        mean = LINKS[self.loss].inverse(linear)
        if self.classes is None:
            return Scores(linear, None, mean, problems, rows.others)
        labels = np.array(self.classes, dtype=object if isinstance(self.classes[0], str) else None)
        if self.is_multinomial:
            probabilities = mean
            predictions = labels[np.argmax(linear, axis=1)]
        else:
            probabilities = np.column_stack([1 - mean, mean])
            predictions = labels[(mean >= self.threshold).astype(np.intp)]
        if not scored.all():
            predictions = predictions.astype(object)
            predictions[~scored] = None
        return Scores(linear, probabilities, predictions, problems, rows.others)

    def _linear(self, rows: Rows) -> Floats:
        if self.hidden:
            x = expanded(rows.dense, rows.codes, self.prepared.levels)
            z: Floats = through(self.hidden, x) @ self.coefficient_array + self.intercept
            return z
        start = rows.dense.shape[1]
        linear: Floats = rows.dense @ self.coefficient_array[:start] + np.asarray(self.intercept)
        for q, levels in enumerate(self.prepared.levels):
            linear += self.coefficient_array[start + rows.codes[:, q]]
            start += levels
        if rows.sparse is not None:
            _add_products(linear, rows.sparse, self.coefficient_array[start:])
        return linear


def _add_products(linear: Floats, sparse: Sparse, coefficients: Floats) -> None:
    """Adds sparse @ coefficients to linear (n,) or (n, K), a bounded number of products at a
    time."""
    entries = max(1, PRODUCTS_AT_A_TIME * len(coefficients) // max(1, coefficients.size))
    filled = np.flatnonzero(np.diff(sparse.starts))
    starts, ends = sparse.starts[filled], sparse.starts[filled + 1]
    first = 0
    while first < len(filled):
        last = int(np.searchsorted(ends, starts[first] + entries, side="right"))
        last = max(last, first + 1)
        here = slice(starts[first], ends[last - 1])
        values = sparse.values[here].astype(np.float64)
        products = (coefficients[sparse.columns[here]].T * values).T
        linear[filled[first:last]] += np.add.reduceat(products, starts[first:last] - here.start)
        first = last
