"""Sums over chunks: the same bits wherever the chunks lie, and few sums to bring home."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from lepton_dask.learn.tree import (
    Node,
    added,
    added_shards,
    added_to_nodes,
    stacked,
    whole_nodes,
)


class Sums(NamedTuple):
    loss: float
    gradient: NDArray[np.float64]
    hessian: None = None


def chunk_sums(count: int) -> list[Sums]:
    """Of very different size, so that every other order rounds differently."""
    rng = np.random.default_rng(count)
    return [
        Sums(float(rng.normal() * 10.0 ** rng.integers(9)), rng.normal(size=5))
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 11, 64, 100])
@pytest.mark.parametrize("shards", [1, 2, 5])
def test_the_total_is_the_same_to_the_bit_however_chunks_are_dealt(count: int, shards: int) -> None:
    sums = chunk_sums(count)
    whole = added(sums)
    rng = np.random.default_rng(shards)
    for owner in (rng.integers(0, shards, count), np.arange(count) % shards):
        chunks = [np.flatnonzero(owner == s).tolist() for s in range(shards)]
        chunks = [numbers for numbers in chunks if numbers]
        brought = [
            stacked(added_to_nodes((Node(0, number), sums[number]) for number in numbers))
            for numbers in chunks
        ]
        total = added_shards(chunks, brought)
        assert total.loss == whole.loss
        assert total.gradient.tobytes() == whole.gradient.tobytes()
        assert total.hessian is None


def test_the_total_is_right() -> None:
    sums = chunk_sums(37)
    assert added(sums).loss == pytest.approx(sum(each.loss for each in sums), rel=1e-12)
    expected = np.sum([each.gradient for each in sums], axis=0)
    assert added(sums).gradient == pytest.approx(expected, rel=1e-12)


def test_brackets_stand_as_in_a_binary_tree() -> None:
    sums = [Sums(x, np.zeros(1)) for x in (1.0, 1e16, -1e16, 3.0, 0.5)]
    assert added(sums).loss == ((1.0 + 1e16) + (-1e16 + 3.0)) + 0.5


def test_neighbours_bring_home_one_sum() -> None:
    assert whole_nodes(range(128)) == [Node(7, 0)]
    assert whole_nodes(range(128, 256)) == [Node(7, 1)]
    assert len(whole_nodes(range(100, 250))) <= 14
    assert len(whole_nodes(range(0, 256, 2))) == 128


def test_no_chunks_have_no_sum() -> None:
    with pytest.raises(ValueError, match="no chunks"):
        added([])
