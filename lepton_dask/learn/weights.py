"""Class weights: how much more the rows of one class count than those of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lepton_dask.learn.kernels.sums import ColumnSums


def balanced(sums: ColumnSums, classes: int) -> tuple[float, ...]:
    """W / (K W_c) for each of K classes, W_c the weight of its rows and W of all: then all classes
    count alike. A class without rows has 1.

    `sums.target` holds the weight of each class, or for two classes that of the second alone.
    """
    by_class = [float(each) for each in sums.target]
    if classes == 2 and len(by_class) == 1:
        by_class.insert(0, sums.weight - by_class[0])
    return tuple(sums.weight / (classes * each) if each > 0 else 1.0 for each in by_class)


def by_label(weights: Mapping[str, float], labels: Sequence[str]) -> tuple[float, ...]:
    """The weight of each label, 1 for those that are not named."""
    return tuple(weights.get(label, 1.0) for label in labels)
