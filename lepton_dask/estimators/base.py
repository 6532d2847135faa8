"""What all estimators share: from a table to coefficients, and from those to predictions."""

from __future__ import annotations

import sys
import warnings
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from lepton_dask.estimators.checking import checked_rows, new_rows
from lepton_dask.estimators.dask_rows import is_collection, over_partitions, pattern
from lepton_dask.estimators.fitting import Settings, has_converged, mean_objective, minimise
from lepton_dask.estimators.frames import FrameColumns, frame_columns
from lepton_dask.estimators.parts import LocalParts, Parts, dask_parts
from lepton_dask.estimators.rows import (
    Summary,
    fitted_categories,
    level_codes,
    level_count,
    united,
)
from lepton_dask.learn.descent import Descent, Iteration, Passes
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.objective import Objective
from lepton_dask.matrix import Floats, Layout


class Fitted(NamedTuple):
    """Parameters taken apart: coefficients (K, D), intercepts (K,), and what the loss has beside."""

    coefficients: Floats
    intercepts: Floats
    extra: Floats


class Penalty(NamedTuple):
    """Of the mean objective: l1 |b|_1 + l2 / 2 |b|^2."""

    l1: float
    l2: float


class LinearEstimator(BaseEstimator):
    """Minimises (1 / sum w) sum w_i l(y_i, x_i'b + b_0) + l1 |b|_1 + l2 / 2 |b|^2.

    X is a table of n rows in memory (a numpy array, a scipy sparse matrix, a pandas DataFrame), or
    a Dask array or DataFrame, with y and `sample_weight` of either kind. Text, category and object
    columns of a DataFrame become a coefficient for each of their levels, missing values among
    them; a level that training has not seen has no effect on a prediction. `coef_` then has the
    number columns first; `feature_names_out_` names its entries.

    Without an active distributed client everything happens in this thread; with one, rows that are
    Dask collections stay on its workers. Predictions for Dask collections are lazy Dask arrays.

    Beside scikit-learn's attributes there are `converged_`; `history_`, an
    `lepton_dask.learn.descent.Iteration` for each iterate; and `feature_names_out_`.
    """

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raises ValueError for what the constructor was given wrong."""

    @abstractmethod
    def _loss(self, classes: int) -> Loss:
        """The loss, of so many classes (0 for numbers)."""

    @abstractmethod
    def _penalty(self, weight: float) -> Penalty:
        """The penalty of the mean objective of rows of this total weight."""

    @abstractmethod
    def _settings(self, summary: Summary) -> Settings:
        """How to get to the minimum."""

    @abstractmethod
    def _store(self, fitted: Fitted) -> None:
        """Sets coef_, intercept_ and what else there is."""

    def _class_weights(self, summary: Summary) -> Floats | None:  # noqa: ARG002 - for overrides
        """What multiplies the weight of the rows of each class, (K,)."""
        return None

    def _start(self, model: LinearModel) -> Floats | None:  # noqa: ARG002 - for overrides
        """Where to start, (M,), if not at the model without features."""
        return None

    def _finished(self, theta: Floats, objective: Objective, passes: Passes) -> Floats:  # noqa: ARG002
        """Of the parameters that are as good as theta (M,), those that scikit-learn gives."""
        return theta

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearEstimator:
        """Fits to n rows X (n, P) with targets y (n,) and weights of at least 0, (n,).

        Raises ValueError for what cannot be fitted, as scikit-learn does.
        """
        self._check_parameters()
        classes = bool(is_classifier(self))
        parts, columns = self._parts(X, y, sample_weight, classes)
        summary = united(parts.summaries(classes))
        self._check_rows(summary)
        categories = () if columns is None else fitted_categories(columns.category_names, summary)
        layout = parts.layout(categories)
        labels = summary.labels if classes else None
        model = self._model(summary, layout)
        objective = mean_objective(
            model,
            *self._penalty(_total_weight(summary, model.class_weights)),
            fit_intercept=bool(self.fit_intercept),
        )
        passes = parts.passes(objective, categories, labels, summary.rows)
        settings, start = self._settings(summary), self._start(model)
        descent = minimise(objective, passes, settings, summary.rows, start)
        self._columns, self._categories = columns, categories
        if labels is not None:
            self.classes_ = labels
        theta = self._finished(descent.theta, objective, passes)
        self._store(_taken_apart(theta, model))
        self._remember(descent, summary, layout)
        return self

    def _parts(
        self, X: Any, y: Any, sample_weight: Any, classes: bool
    ) -> tuple[Parts, FrameColumns | None]:
        """The checked rows, and what columns they have; sets what scikit-learn remembers of X."""
        if is_collection(X):
            seen = pattern(X)
            validate_data(self, seen, skip_check_array=True)
            columns = frame_columns(seen)
            name = type(self).__name__
            return dask_parts(X, y, sample_weight, columns, classes, name), columns
        columns = frame_columns(X)
        checked = checked_rows(self, X, y, sample_weight, columns, classes)
        return LocalParts([checked]), columns

    def _check_rows(self, summary: Summary) -> None:
        name = type(self).__name__
        if not summary.rows:
            raise ValueError(f"Found array with 0 sample(s) while {name} needs at least 1")
        if not summary.weight > 0:
            raise ValueError(f"Sample weights are all zero; {name} needs a row that counts")

    def _model(self, summary: Summary, layout: Layout) -> LinearModel:
        """The loss over the columns. Raises ValueError for targets that the loss is not for."""
        classes = len(summary.labels)
        loss = self._loss(classes)
        if not classes and (problem := loss.target_problem(summary.lowest, summary.highest)):
            found = f"y has values from {summary.lowest:g} to {summary.highest:g}"
            raise ValueError(f"{type(self).__name__} {problem}, and {found}")
        weights = self._class_weights(summary)
        return LinearModel(
            loss,
            layout,
            classes if loss.name == "multinomial" else 1,
            None if weights is None else tuple(weights.tolist()),
        )

    def _reached(self, descent: Descent, summary: Summary) -> bool:  # noqa: ARG002 - for overrides
        """Whether what is stored is the minimum."""
        return has_converged(descent)

    def _remember(self, descent: Descent, summary: Summary, layout: Layout) -> None:
        self.n_iter_ = max(descent.iterations, 1)
        self.history_: tuple[Iteration, ...] = descent.history
        self.converged_ = self._reached(descent, summary)
        self.feature_names_out_ = np.array(self._feature_names(layout), dtype=object)
        if not self.converged_:
            warnings.warn(
                f"{type(self).__name__} has not converged: {descent.stopped.reason}; "
                "increase max_iter, scale the columns, or raise tol",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _feature_names(self, layout: Layout) -> list[str]:
        if self._columns is not None:
            return self._columns.features(self._categories)
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return [f"x{i}" for i in range(layout.coefficients)]
        return list(names)

    def _linear_predictor(self, X: Any) -> Floats:
        """X coef + intercept of rows in memory: (n,), or (n, K) of K classes."""
        check_is_fitted(self)
        numbers, categories = new_rows(self, X, self._columns)
        coefficients = np.atleast_2d(self.coef_)
        place = numbers.shape[1]
        z: Floats = np.asarray(numbers @ coefficients[:, :place].T, dtype=np.float64)
        for category, column in zip(self._categories, categories, strict=True):
            count = level_count(category)
            # The last row is for what has no coefficient.
            effects = np.zeros((count + 1, len(coefficients)))
            effects[:count] = coefficients[:, place : place + count].T
            z = z + effects[level_codes(category, column)]
            place += count
        z = z + self.intercept_
        return z[:, 0] if z.shape[1] == 1 else z

    def _lazily(self, X: Any, method: str, dtype: Any, columns: int | None = None) -> Any:
        """The Dask array of what `method` gives for each partition of a Dask collection X."""
        check_is_fitted(self)
        validate_data(self, pattern(X), reset=False, skip_check_array=True)
        return over_partitions(X, getattr(self, method), dtype, columns)

    def _say(self, iteration: Iteration) -> None:
        """Prints an iteration, for `verbose`."""
        print(  # noqa: T201 - what verbose is for
            f"{type(self).__name__}: iteration {iteration.iteration}, "
            f"objective {iteration.loss:.10g}, gradient {iteration.gradient_norm:.3g}",
            file=sys.stdout,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _taken_apart(theta: Floats, model: LinearModel) -> Fitted:
    shape = (model.layout.coefficients, model.outputs)
    return Fitted(
        np.ascontiguousarray(theta[model.coefficients].reshape(shape).T),
        theta[model.intercepts].copy(),
        theta[model.intercepts.stop :].copy(),
    )


def _total_weight(summary: Summary, class_weights: tuple[float, ...] | None) -> float:
    if class_weights is None:
        return summary.weight
    return float(summary.label_weights @ np.array(class_weights))
