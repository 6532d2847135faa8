"""LogisticRegression: of two classes, or multinomial of more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state, compute_class_weight

from lepton_dask.estimators.base import Fitted, LinearEstimator, Penalty
from lepton_dask.estimators.dask_rows import in_memory, is_collection
from lepton_dask.estimators.fitting import OptimizerName, Settings
from lepton_dask.estimators.parameters import (
    check_choice,
    check_count,
    check_flags,
    check_number,
    refuse,
)
from lepton_dask.estimators.rows import Summary
from lepton_dask.learn.descent import Passes
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Logistic, Loss, Multinomial
from lepton_dask.learn.objective import Objective
from lepton_dask.matrix import Floats


class LogisticRegression(ClassifierMixin, LinearEstimator):
    """min C sum w_i l(y_i, z_i) + r |b|_1 + (1 - r) / 2 |b|^2, with r = `l1_ratio`; l is the
    logistic loss of two classes, and the multinomial one, with coefficients for each, of more.

    `C=np.inf` is no penalty. `penalty` is scikit-learn's deprecated way to say the same and warns
    as there. `class_weight` multiplies the weights of a class's rows: a dictionary by label, or
    `balanced`, which gives all classes the same total. `tol` is the largest partial derivative of
    the objective divided by C sum w at the end; `max_iter`, how many passes over the rows there may
    be. `solver`: `lbfgs`, the default, leaves the choice to the engine (Newton's method while
    the Hessian is small, its proximal form with l1, else L-BFGS or FISTA); `newton-cg` and
    `newton-cholesky` are Newton's method, `sag` and `saga` FISTA; any takes any penalty.
    `liblinear`, which penalises the intercept, is refused, and so are its `dual` and
    `intercept_scaling`, and any `n_jobs` but None and 1. Nothing is random, so any `random_state`
    gives the same.
    """

    SOLVERS: Mapping[str, OptimizerName] = {
        "lbfgs": "auto",
        "newton-cg": "newton",
        "newton-cholesky": "newton",
        "sag": "fista",
        "saga": "fista",
    }

    def __init__(
        self,
        penalty: str | None = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: dict[Any, float] | str | None = None,
        random_state: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def decision_function(self, X: Any) -> Any:
        """The linear predictor: (n,) for two classes, positive for `classes_[1]`; else (n, K)."""
        if is_collection(X):
            return self._lazily(X, "decision_function", np.float64, self._outputs)
        return self._linear_predictor(X)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each of `classes_`, (n, K)."""
        if is_collection(X):
            return self._lazily(X, "predict_proba", np.float64, len(self.classes_))
        z = self._linear_predictor(X)
        if z.ndim == 2:
            return Multinomial().inverse_link(z)
        # Of the two signs each, so that neither probability is a difference.
        link = Logistic()
        return np.stack([link.inverse_link(-z), link.inverse_link(z)], axis=1)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Any:
        """The most probable of `classes_` for each row, (n,)."""
        if is_collection(X):
            return self._lazily(X, "predict", self.classes_.dtype)
        z = self._linear_predictor(X)
        return self.classes_[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose class `predict(X)` tells."""
        truth, predicted, weight = map(in_memory, (y, self.predict(X), sample_weight))
        return float(accuracy_score(truth, predicted, sample_weight=weight))

    @property
    def _outputs(self) -> int | None:
        return None if len(self.classes_) == 2 else len(self.classes_)

    def _check_parameters(self) -> None:
        check_flags(self, "dual", "fit_intercept", "warm_start")
        if self.C != np.inf:
            check_number(self, "C", least=0, open_ends=True)
        if self.l1_ratio is not None:
            check_number(self, "l1_ratio", least=0, most=1)
        check_number(self, "tol", least=0)
        check_count(self, "max_iter", least=0)
        check_count(self, "verbose", least=0)
        check_choice(self, "solver", (*self.SOLVERS, "liblinear"))
        if self.solver == "liblinear":
            raise refuse(self, "solver", "it penalises the intercept: use 'lbfgs'")
        if self.penalty not in ("deprecated", "l1", "l2", "elasticnet", None):
            raise refuse(self, "penalty", "use C and l1_ratio")
        if self.dual:
            raise refuse(self, "dual", "it is of the solver liblinear: use False")
        if self.intercept_scaling != 1:
            raise refuse(self, "intercept_scaling", "it is of the solver liblinear: use 1")
        if self.n_jobs not in (None, 1):
            raise refuse(self, "n_jobs", "for parallel passes give Dask collections and a Client")
        if isinstance(self.class_weight, str):
            check_choice(self, "class_weight", ("balanced",))
        check_random_state(self.random_state)
        self._warn_of_deprecated()

    def _warn_of_deprecated(self) -> None:
        if self.penalty != "deprecated":
            words = "'penalty' is deprecated: use l1_ratio, and C=np.inf for no penalty"
            warnings.warn(words, FutureWarning, stacklevel=4)
        elif self.l1_ratio is None:
            words = "l1_ratio=None is deprecated: use l1_ratio=0"
            warnings.warn(words, FutureWarning, stacklevel=4)
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be specified when penalty is elasticnet.")

    def _loss(self, classes: int) -> Loss:
        if classes < 2:
            name = type(self).__name__
            raise ValueError(f"{name} needs rows of at least 2 classes, and y has only one class")
        return Logistic() if classes == 2 else Multinomial()

    def _penalty(self, weight: float) -> Penalty:
        if self.penalty is None or self.C == np.inf:
            return Penalty(0.0, 0.0)
        share = {"l1": 1.0, "l2": 0.0}.get(self.penalty or "", float(self.l1_ratio or 0.0))
        scale = float(self.C) * weight
        return Penalty(share / scale, (1.0 - share) / scale)

    def _settings(self, summary: Summary) -> Settings:  # noqa: ARG002 - the contract's shape
        return Settings(
            float(self.tol),
            int(self.max_iter),
            self.SOLVERS[self.solver],
            self._say if self.verbose else lambda _: None,
        )

    def _class_weights(self, summary: Summary) -> Floats | None:
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):
            counts = summary.label_weights
            balanced = counts.sum() / (len(counts) * np.where(counts > 0, counts, 1.0))
            return np.asarray(balanced)
        labels = summary.labels
        weights = compute_class_weight(self.class_weight, classes=labels, y=labels)
        return np.asarray(weights, dtype=np.float64)

    def _start(self, model: LinearModel) -> Floats | None:
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        theta = np.concatenate([self.coef_.T.ravel(), np.ravel(self.intercept_)])
        if len(theta) != model.parameters:
            raise ValueError(
                f"{type(self).__name__}: warm_start=True needs the columns and classes of the "
                f"fit before, {self.coef_.shape}, and there are "
                f"{(model.outputs, model.layout.coefficients)}"
            )
        return theta

    def _finished(self, theta: Floats, objective: Objective, passes: Passes) -> Floats:  # noqa: ARG002
        """A constant that all classes share changes no probability: without l1, which it would
        change, each column's coefficients have the mean 0, and the intercepts always."""
        model = objective.model
        if model.outputs == 1:
            return theta
        matrix = theta.reshape(-1, model.outputs).copy()
        rows = slice(None) if objective.smooth else slice(-1, None)
        matrix[rows] -= matrix[rows].mean(axis=1, keepdims=True)
        return matrix.ravel()

    def _store(self, fitted: Fitted) -> None:
        self.coef_, self.intercept_ = fitted.coefficients, fitted.intercepts
