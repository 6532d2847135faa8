"""The columns of a pandas DataFrame: which are numbers, which are categories, and both as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lepton_dask.data.columns import Column, NumberColumn, TextColumn
from lepton_dask.data.prepared import FittedCategory
from lepton_dask.estimators.rows import level_names


@dataclass(frozen=True)
class FrameColumns:
    """Which columns of a DataFrame are `numbers` and which `categories`, by position.

    `names` are those of all columns. A DataFrame without categories, and what is no DataFrame,
    has none of these: scikit-learn's own checks make an array of it.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    categories: tuple[int, ...]

    @property
    def category_names(self) -> tuple[str, ...]:
        return tuple(self.names[position] for position in self.categories)

    def features(self, fitted: tuple[FittedCategory, ...]) -> list[str]:
        """A name for each coefficient: the number columns, then `column=level`."""
        numbers = [self.names[position] for position in self.numbers]
        return [*numbers, *(name for each in fitted for name in level_names(each))]

    def number_part(self, frame: Any) -> Any:
        """The number columns, a DataFrame; one column of zeros if there is none."""
        if not self.numbers:
            return np.zeros((len(frame), 1))
        return frame.iloc[:, list(self.numbers)]

    def category_part(self, frame: Any) -> tuple[Column, ...]:
        """The category columns as arrays, in order."""
        return tuple(
            category_column(self.names[position], frame.iloc[:, position])
            for position in self.categories
        )


def frame_columns(X: Any) -> FrameColumns | None:
    """The columns of a pandas DataFrame that has categories; None of anything else.

    `X` may be of no rows, but then a column of the dtype `object` counts as text.
    """
    if not isinstance(X, pd.DataFrame):
        return None
    kinds = [_is_category(X.iloc[:, position]) for position in range(X.shape[1])]
    if not any(kinds):
        return None
    return FrameColumns(
        tuple(str(name) for name in X.columns),
        tuple(i for i, category in enumerate(kinds) if not category),
        tuple(i for i, category in enumerate(kinds) if category),
    )


def category_column(name: str, series: Any) -> Column:
    """Texts as a TextColumn; categories that are numbers or truth values as a NumberColumn.

    Raises ValueError for values of several types, and for those that are no categories.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, values = series.cat.codes.to_numpy(), series.cat.categories
    else:
        codes, values = pd.factorize(series)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    missing = codes < 0
    if kind in {"string", "empty"}:
        return TextColumn(codes.astype(np.int32), tuple(str(value) for value in values))
    if kind in {"integer", "boolean", "floating", "mixed-integer-float"}:
        numbers = np.append(np.asarray(values, dtype=np.float64), 0.0)
        return NumberColumn(numbers[codes], missing)
    raise ValueError(
        f"column '{name}' holds values of the kind '{kind}', and a category is text, "
        "an integer or a truth value; convert it with astype(str)"
    )


def _is_category(series: Any) -> bool:
    dtype = series.dtype
    if isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype)):
        return True
    if dtype != object:
        return isinstance(dtype, pd.ArrowDtype) and dtype.kind in "OU"
    # Numbers in a column of objects are numbers, as for scikit-learn.
    return not len(series) or "string" in pd.api.types.infer_dtype(series, skipna=True)
