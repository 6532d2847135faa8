"""scikit-learn's own checks of X, y and weights, and the checked rows that come out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    validate_data,
)

from lepton_dask.estimators.frames import FrameColumns
from lepton_dask.estimators.rows import CheckedRows
from lepton_dask.matrix import Floats

NUMBERS: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": "C"}
"""How X is checked: numbers keep their precision, sparse rows stay sparse."""


def checked_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, columns: FrameColumns | None, classes: bool
) -> CheckedRows:
    """The rows to fit, from memory; sets what scikit-learn remembers of X's columns.

    Raises scikit-learn's ValueErrors and TypeErrors, for what its estimators refuse.
    """
    if columns is None:
        X, y = validate_data(estimator, X, y, y_numeric=not classes, **NUMBERS)
        checked = _rows(X, (), y, sample_weight)
    else:
        validate_data(estimator, X, skip_check_array=True)
        name = type(estimator).__name__
        checked = _checked_frame(X, y, sample_weight, columns, classes, name)
    if classes:
        check_classification_targets(checked.target)
    return checked


def checked_part(
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: FrameColumns | None,
    classes: bool,
    name: str,
) -> CheckedRows:
    """The rows of one partition, of which there may be none; `name` is the estimator's."""
    if columns is not None:
        checked = _checked_frame(X, y, sample_weight, columns, classes, name)
    else:
        X, y = check_X_y(
            X, y, y_numeric=not classes, estimator=name, ensure_min_samples=0, **NUMBERS
        )
        checked = _rows(X, (), y, sample_weight)
    # check_classification_targets warns where many of a part's few rows have a class of their own.
    target = checked.target
    if classes and target.dtype.kind == "f" and np.any(target != np.floor(target)):
        raise ValueError("Unknown label type: continuous. y holds numbers that are not classes")
    return checked


def new_rows(estimator: Any, X: Any, columns: FrameColumns | None) -> tuple[Any, tuple[Any, ...]]:
    """The numbers (n, P), an array or a CSR matrix, and the category columns of rows to predict."""
    if columns is None:
        return validate_data(estimator, X, reset=False, **NUMBERS), ()
    if not hasattr(X, "iloc"):
        raise ValueError(
            f"{type(estimator).__name__} was fitted on a DataFrame with the category columns "
            f"{', '.join(columns.category_names)}, and X is a {type(X).__name__}; "
            "give a DataFrame with the same columns"
        )
    validate_data(estimator, X, reset=False, skip_check_array=True)
    dense = check_array(columns.number_part(X), estimator=estimator, **NUMBERS)
    return dense[:, : len(columns.numbers)], columns.category_part(X)


def _checked_frame(
    X: Any, y: Any, sample_weight: Any, columns: FrameColumns, classes: bool, name: str
) -> CheckedRows:
    dense, y = check_X_y(
        columns.number_part(X),
        y,
        y_numeric=not classes,
        estimator=name,
        ensure_min_samples=0,
        **NUMBERS,
    )
    numbers = np.ascontiguousarray(dense[:, : len(columns.numbers)])
    return _rows(numbers, columns.category_part(X), y, sample_weight)


def _rows(X: Any, categories: tuple[Any, ...], y: Any, sample_weight: Any) -> CheckedRows:
    rows = X.shape[0]
    weight = _weights(sample_weight, X) if rows else np.empty(0)
    if hasattr(X, "indptr"):
        X.sum_duplicates()
        return CheckedRows(np.empty((rows, 0)), categories, X, y, weight)
    return CheckedRows(X, categories, None, y, weight)


def _weights(sample_weight: Any, X: Any) -> Floats:
    checked: Floats = _check_sample_weight(
        sample_weight,
        X,
        dtype=np.float64,
        ensure_non_negative=True,
        # One partition may have none; whether all rows together have is asked of the summary.
        allow_all_zero_weights=True,
    )
    return np.ascontiguousarray(checked)
