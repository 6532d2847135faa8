"""The quantile sketch keeps the rank error that it states, however it is put together."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lepton_dask.data import sketch as sketch_module
from lepton_dask.data.sketch import QuantileSketch, weighted_quantiles

SHARES = (0.0, 0.01, 0.25, 0.5, 0.77, 0.99, 1.0)


def sketch_of(values: NDArray[np.float64]) -> QuantileSketch:
    return QuantileSketch.of(np.sort(values))


def assert_within_stated_error(sketch: QuantileSketch, values: NDArray[np.float64]) -> None:
    assert sketch.count == len(values)
    for q in SHARES:
        estimate, position = sketch.quantile(q), q * (len(values) - 1)
        below, up_to = np.count_nonzero(values < estimate), np.count_nonzero(values <= estimate)
        assert below - sketch.rank_error <= math.ceil(position)
        assert up_to + sketch.rank_error >= math.floor(position) + 1 - (position % 1 > 0)


@pytest.mark.parametrize("rows", [1, 2, 1000, 4096])
def test_quantiles_are_numpys_while_the_sketch_is_exact(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows)
    halves = [part for part in np.array_split(values, 2) if len(part)]
    merged = reduce(QuantileSketch.merge, [sketch_of(part) for part in halves])
    assert merged.rank_error == 0
    assert [merged.quantile(q) for q in SHARES] == np.quantile(values, SHARES).tolist()


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    distinct=st.sampled_from([3, 50, 10**6]),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_any_grouping_of_merges_keeps_the_stated_rank_error(seed, sizes, distinct, order) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketch_module, "LEVEL_ITEMS", 16)
        rng = np.random.default_rng(seed)
        chunks = [rng.integers(0, distinct, size).astype(np.float64) for size in sizes]
        sketches = [sketch_of(chunk) for chunk in chunks]
        while len(sketches) > 1:
            sketches.append(sketches.pop(order.randrange(len(sketches))).merge(sketches.pop(0)))
        assert_within_stated_error(sketches[0], np.concatenate(chunks))


def test_a_long_column_is_summarised_within_half_a_percent() -> None:
    values = np.random.default_rng(1).lognormal(size=400_000)
    sketch = reduce(QuantileSketch.merge, map(sketch_of, np.array_split(values, 8)))
    assert_within_stated_error(sketch, values)
    assert 0 < sketch.rank_error < 0.005 * len(values)
    assert sum(map(len, sketch.levels)) < 40_000


def test_the_same_chunks_give_the_same_bits() -> None:
    chunks = np.array_split(np.random.default_rng(2).normal(size=50_000), 5)
    once, again = (reduce(QuantileSketch.merge, map(sketch_of, chunks)) for _ in range(2))
    assert [level.tobytes() for level in once.levels] == [level.tobytes() for level in again.levels]


def test_integers_keep_every_digit() -> None:
    values = np.array([2**62, 2**62 + 1, 2**62 + 2])
    assert QuantileSketch.of(values).items()[0].tolist() == values.tolist()


def test_weighted_quantiles_are_those_of_the_repeated_values() -> None:
    values, weights = np.array([1.0, 2.5, 7.0]), np.array([3, 1, 4])
    repeated = np.repeat(values, weights)
    assert weighted_quantiles(values, weights, SHARES) == np.quantile(repeated, SHARES).tolist()


def test_numbers_with_counts_are_summarised_without_error() -> None:
    rng = np.random.default_rng(3)
    values, counts = np.unique(rng.integers(0, 900, 60_000), return_counts=True)
    sketch = QuantileSketch.of(values, counts)
    assert sketch.rank_error == 0
    assert sketch.count == 60_000
    items, weights = sketch.items()
    assert np.repeat(items, weights).tolist() == np.repeat(values, counts).tolist()


def test_merged_with_others_they_keep_the_stated_rank_error() -> None:
    rng = np.random.default_rng(4)
    repeated, measured = rng.integers(0, 9000, 80_000), rng.normal(4000, 900, 50_000)
    counted = QuantileSketch.of(*np.unique(repeated.astype(float), return_counts=True))
    merged = counted.merge(sketch_of(measured))
    assert merged.rank_error > 0
    assert_within_stated_error(merged, np.concatenate([repeated, measured]))
