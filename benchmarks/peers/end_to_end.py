"""The census files to an evaluated model without us: pandas + scikit-learn, and Polars + glum.

Both fit the preparation on the training files, train with l2 of the mean objective, and score the
official test file. `objective` is the mean log loss on the training rows plus (l2 / 2) |b|^2 on
the arm's own design: the same number for all, as all designs hold the same columns (numbers scaled
by mean and standard deviation, one column a level). It is computed after the clock has stopped.

Polars + glum: text columns become Polars' Enum, of which tabmat makes categorical columns without
one-hot in memory. That is kinder to glum than to_dummies.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.census import CATEGORIES, MISSING, NUMBERS, POSITIVE, TARGET, Census
from benchmarks.peers.tables import Pandas, Polars

MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Modelled:
    seconds: float
    prepare_seconds: float
    objective: float
    roc_auc: float
    iterations: int


class PandasScikitLearn:
    """ColumnTransformer and LogisticRegression(lbfgs)."""

    def __init__(self) -> None:
        import pandas  # noqa: F401 - imported ahead, so that no run is charged for it
        import sklearn.compose
        import sklearn.linear_model  # noqa: F401 - imported ahead, so that no run is charged for it

    def model(self, files: Census, l2: float, tolerance: float) -> Modelled:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score

        tables = Pandas()
        began = time.perf_counter()
        frame = tables.read(files.train)
        transformer = tables.transformer()
        design = transformer.fit_transform(frame)
        target = (frame[TARGET] == POSITIVE).to_numpy().astype(np.int64)
        prepared = time.perf_counter() - began
        model = LogisticRegression(C=1 / (l2 * len(target)), tol=tolerance, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(design, target)
        test = tables.read([files.test])
        probability = model.predict_proba(transformer.transform(test))[:, 1]
        area = roc_auc_score(test[TARGET] == POSITIVE, probability)
        seconds = time.perf_counter() - began
        b = model.coef_[0]
        objective = _objective(design @ b + model.intercept_[0], target, b, l2)
        return Modelled(seconds, prepared, objective, float(area), int(model.n_iter_[0]))


class PolarsGlum:
    """Polars eager to a tabmat split matrix, and glum's `solver`."""

    def __init__(self) -> None:
        import glum  # noqa: F401 - imported ahead, so that no run is charged for it
        import polars  # noqa: F401 - imported ahead, so that no run is charged for it
        import tabmat  # noqa: F401 - imported ahead, so that no run is charged for it

    def model(self, files: Census, l2: float, tolerance: float, solver: str) -> Modelled:
        from glum import GeneralizedLinearRegressor
        from sklearn.metrics import roc_auc_score

        tables = Polars()
        began = time.perf_counter()
        frame = tables.read(files.train)
        numbers = tables.fit_numbers(frame)
        levels = {name: _levels(frame[name]) for name in CATEGORIES}
        design = self._design(tables, frame, numbers, levels)
        target = (frame[TARGET] == POSITIVE).to_numpy().astype(np.float64)
        prepared = time.perf_counter() - began
        model = GeneralizedLinearRegressor(
            family="binomial",
            alpha=l2,
            l1_ratio=0,
            solver=solver,
            gradient_tol=tolerance,
            max_iter=MAX_ITERATIONS,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(design, target)
        test = tables.read([files.test])
        probability = model.predict(self._design(tables, test, numbers, levels))
        area = roc_auc_score((test[TARGET] == POSITIVE).to_numpy(), probability)
        seconds = time.perf_counter() - began
        z = design.matvec(model.coef_) + model.intercept_
        objective = _objective(z, target, model.coef_, l2)
        return Modelled(seconds, prepared, objective, float(area), int(model.n_iter_))

    def _design(self, tables: Polars, frame: Any, numbers: Any, levels: Any) -> Any:
        """[scaled numbers | categories as codes], a level that training had not seen as none."""
        import tabmat

        scaled = tables.scaled(frame.select(*NUMBERS, *CATEGORIES), numbers)
        blocks = [tabmat.DenseMatrix(np.asfortranarray(scaled.select(NUMBERS).to_numpy()))]
        for name in CATEGORIES:
            codes = _codes(frame[name], levels[name])
            categories = np.arange(len(levels[name]))
            blocks.append(
                tabmat.CategoricalMatrix(codes, categories=categories, cat_missing_method="zero")
            )
        return tabmat.SplitMatrix(blocks)


def _levels(column: Any) -> list[str]:
    return sorted(column.fill_null(MISSING).unique().to_list())


def _codes(column: Any, levels: list[str]) -> np.ndarray:
    """int32 codes; -1, tabmat's sign for none, for what is not a level."""
    import polars as pl

    filled = column.fill_null(MISSING).cast(pl.Enum(levels), strict=False)
    return filled.to_physical().cast(pl.Int32).fill_null(-1).to_numpy().copy()


def _objective(z: np.ndarray, target: np.ndarray, b: np.ndarray, l2: float) -> float:
    return float(np.mean(np.logaddexp(0, z) - target * z) + l2 / 2 * (b @ b))
