"""What the tasks of a pass do, each with one shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.folds import FoldedShard
from lepton_dask.learn.kernels import linear_predictor
from lepton_dask.learn.kernels.sums import ChunkSums, Sketch
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import answer
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.sampling import concatenated, sample
from lepton_dask.learn.stored import Shard
from lepton_dask.learn.tallies import Predicted
from lepton_dask.learn.tree import Node, added_to_nodes, stacked
from lepton_dask.matrix import Block, Floats

T = TypeVar("T")


def shard_sums(
    shard: Shard | FoldedShard, chunks: Sequence[int], of_block: Callable[..., Any], *arguments: Any
) -> Any:
    """of_block(block, *arguments) of the shard's blocks, which are these chunks, added up to the
    tree's nodes and stacked."""
    pin_blas()
    nodes = (
        (Node(0, chunk), of_block(block, *arguments))
        for chunk, block in zip(chunks, shard, strict=True)
    )
    return stacked(added_to_nodes(nodes))


def shard_answer(
    shard: Shard | FoldedShard, chunks: Sequence[int], model: LinearModel, query: Query
) -> ChunkSums:
    """The shard's answer to a query, stacked as `shard_sums`, its sketch in one piece with the
    first node's sums."""
    pin_blas()
    sums = added_to_nodes(
        (Node(0, chunk), answer(block, chunk, model, query))
        for chunk, block in zip(chunks, shard, strict=True)
    )
    sketches = [each.sketch for each in sums if each.sketch is not None]
    if sketches:
        one = reduce(Sketch.joined, sketches)
        sums = [each._replace(sketch=Sketch(None)) for each in sums]
        sums[0] = sums[0]._replace(sketch=one)
    return stacked(sums)


def predict_shard(
    shard: Shard | FoldedShard,
    chunks: Sequence[int],  # noqa: ARG001 - as the other tasks
    model: LinearModel,
    theta: Floats,
) -> list[Predicted]:
    pin_blas()
    return [
        Predicted(
            block.target,
            model.loss.inverse_link(linear_predictor(block, model, theta)),
            block.weight,
        )
        for block in shard
    ]


def sample_shard(shard: Shard | FoldedShard, chunks: Sequence[int], share: float) -> list[Block]:
    return [sample(block, chunk, share) for chunk, block in zip(chunks, shard, strict=True)]


def with_sample(
    samples: Sequence[Sequence[Block]],
    chunks: Sequence[Sequence[int]],
    function: Callable[[Block, float], T],
    share: float,
) -> T:
    """function(the sampled rows in the chunks' order, share)."""
    pin_blas()
    numbered = [
        pair
        for numbers, blocks in zip(chunks, samples, strict=True)
        for pair in zip(numbers, blocks, strict=True)
    ]
    ordered = [block for _, block in sorted(numbered, key=lambda pair: pair[0])]
    return function(concatenated(ordered), share)
