"""The sample that a pilot is fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from in_memory import make_block, split_block

from lepton_dask.learn.sampling import MOST_BYTES, concatenated, sample, sample_share
from lepton_dask.matrix import Block, Layout, Sparse


def with_text(block: Block) -> Block:
    n = len(block.target)
    counts = np.arange(n) % 4
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = np.arange(starts[-1], dtype=np.int32) % 7
    return block._replace(sparse=Sparse(starts, columns, columns.astype(np.float32) + 1))


def test_a_sample_is_a_fixed_spread_of_a_chunks_rows() -> None:
    block = make_block(rows=2000)._replace(target=np.arange(2000.0))
    rows = sample(block, 3, 0.05).target.astype(int)
    assert len(rows) == 100
    assert (rows // 20).tolist() == list(range(100))
    assert len(set(rows % 20)) > 10
    assert np.array_equal(rows, sample(block, 3, 0.05).target)
    assert not np.array_equal(rows, sample(block, 4, 0.05).target)


def test_rows_keep_what_belongs_to_them() -> None:
    block = with_text(make_block(rows=300)._replace(target=np.arange(300.0)))
    found = sample(block, 0, 0.1)
    rows = found.target.astype(int)
    assert np.array_equal(found.dense, block.dense[rows])
    assert np.array_equal(found.codes, block.codes[rows])
    assert np.array_equal(found.weight, block.weight[rows])
    assert block.sparse is not None
    assert found.sparse is not None
    for i, row in enumerate(rows):
        here = slice(*found.sparse.starts[i : i + 2])
        there = slice(*block.sparse.starts[row : row + 2])
        assert np.array_equal(found.sparse.columns[here], block.sparse.columns[there])
        assert np.array_equal(found.sparse.values[here], block.sparse.values[there])


def test_blocks_concatenate_to_the_block_that_they_were_cut_from() -> None:
    block = make_block(rows=300)
    parts = [with_text(part) for part in split_block(block, [0, 70, 71])]
    whole = concatenated(parts)
    for one, other in zip(whole[:4], block[:4], strict=True):
        assert np.array_equal(one, other)
    assert whole.sparse is not None
    assert len(whole.sparse.starts) == 301
    assert whole.sparse.starts[-1] == sum(part.sparse.starts[-1] for part in parts if part.sparse)


def test_a_sample_has_what_was_wanted_or_what_one_worker_may_hold() -> None:
    assert sample_share(50_000, 1_000_000, Layout(50)) == pytest.approx(0.05)
    assert sample_share(50_000, 10_000, Layout(50)) == 1.0
    layout = Layout(1000)
    share = sample_share(50_000, 1_000_000, layout)
    assert share * 1_000_000 * layout.row_bytes == pytest.approx(MOST_BYTES)
