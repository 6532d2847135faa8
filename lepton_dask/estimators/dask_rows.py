"""Dask collections: partitions of X, with the rows of y and of the weights beside each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def is_collection(value: object) -> bool:
    """Whether it is a Dask collection."""
    import dask

    return bool(dask.is_dask_collection(value))


def pattern(X: Any) -> Any:
    """What there is to see of X's columns without reading it: a DataFrame of no rows, or an array
    of one row of zeros. Raises ValueError where X is not a table."""
    if hasattr(X, "columns"):
        return X._meta
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead. Reshape your data with "
            "X.reshape(-1, 1) if it has a single feature"
        )
    return np.zeros((1, X.shape[1]))


def partitions(value: Any) -> list[Any]:
    """One delayed object a partition of the rows, in order."""
    if hasattr(value, "rechunk") and value.ndim == 2 and value.numblocks[1] > 1:
        value = value.rechunk({1: -1})
    return list(np.ravel(value.to_delayed()))


def beside(values: Any, X: Any, name: str) -> list[Any]:
    """The rows of `values` (n,), y or the weights, that belong to each partition of X.

    Partitions pair up one by one where their numbers are equal and no size that Dask knows says
    otherwise; else the sizes are computed and the values cut by those of X. Raises ValueError
    where the numbers of rows differ.
    """
    parts = partitions(X)
    if values is None:
        return [None] * len(parts)
    if not is_collection(values):
        rows = [len(values)]
    else:
        known = _known_rows(values), _known_rows(X)
        paired = partitions(values)
        if len(paired) == len(parts) and (None in known or known[0] == known[1]):
            return paired
        rows = partition_rows(values)
    sizes = partition_rows(X)
    if sum(rows) != sum(sizes):
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {sum(sizes)} rows, and {name} has {sum(rows)}"
        )
    if not is_collection(values):
        ends = np.cumsum(sizes)
        whole = np.asarray(values)
        return [whole[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    if not hasattr(values, "rechunk"):
        values = values.to_dask_array(lengths=rows)
    elif _known_rows(values) is None:
        values = values.copy()
        values.compute_chunk_sizes()
    return partitions(values.rechunk({0: tuple(sizes)}))


def partition_rows(value: Any) -> list[int]:
    """The rows of each partition, computed where Dask does not know them."""
    import dask

    known = _known_rows(value)
    if known is not None:
        return known
    return [int(size) for size in compute([dask.delayed(len)(p) for p in partitions(value)])]


def compute(tasks: Sequence[Any]) -> list[Any]:
    """The results of delayed tasks: on the active client, else one after the other in this
    thread."""
    import dask

    # For a scheduler by name, Dask imports distributed, which takes a second.
    return list(dask.compute(*tasks, scheduler=None if client() else dask.get))


def in_memory(value: Any) -> Any:
    """What a collection holds; anything else as it is."""
    return compute([value])[0] if is_collection(value) else value


def client() -> Any:
    """The active distributed client, or None. Where nobody has imported distributed, there is
    none, and it is not imported to find out."""
    import sys

    if "distributed" not in sys.modules:
        return None
    from lepton_dask.learn.dispatch import active_client

    return active_client()


def over_partitions(X: Any, function: Any, dtype: Any, columns: int | None) -> Any:
    """The Dask array of function(partition) for each partition of X, lazy: (n,), or (n, columns).

    Chunk sizes are known where those of X are.
    """
    import dask
    import dask.array as da

    known = _known_rows(X)
    parts = partitions(X)
    sizes: Sequence[Any] = known if known is not None else [np.nan] * len(parts)
    inner = () if columns is None else (columns,)
    apply = dask.delayed(_applied, pure=False)
    function = dask.delayed(function)
    arrays = [
        da.from_delayed(apply(function, part, dtype, inner), (size, *inner), dtype=dtype)
        for part, size in zip(parts, sizes, strict=True)
    ]
    return da.concatenate(arrays, allow_unknown_chunksizes=True)


def _applied(function: Any, part: Any, dtype: Any, inner: tuple[int, ...]) -> Any:
    # scikit-learn's checks refuse a table of no rows; a partition may be one.
    return function(part) if len(part) else np.empty((0, *inner), dtype=dtype)


def _known_rows(value: Any) -> list[int] | None:
    if not hasattr(value, "chunks") or np.isnan(value.chunks[0]).any():
        return None
    return [int(size) for size in value.chunks[0]]
