"""A design matrix on disk: the same bits as in memory, and files that go with what they held."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, Future, LocalCluster
from in_memory import make_block, split_block

from lepton_dask.errors import RunError
from lepton_dask.learn.descent import descend
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.learn.objective import penalised
from lepton_dask.learn.optimizers import Lbfgs
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.stored import store_block
from lepton_dask.learn.sweeps import Shards, Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Block, Layout, Sparse

pytestmark = pytest.mark.cluster

LAYOUT = Layout(4, (3, 5), 6)
FEATURES = tuple(f"x{i}" for i in range(LAYOUT.coefficients))
MODEL = LinearModel(chosen_loss("logistic"), LAYOUT)
BOUNDS = [0, 40, 41, 200, 333, 333, 480, 610]


@contextmanager
def cluster(workers: int = 2) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster() as shared:
        yield shared


def chunk(number: int) -> Block:
    """Chunk `number` of a table of 700 rows, with hashed text."""
    block = split_block(make_block(rows=700), BOUNDS)[number]
    rng = np.random.default_rng(number)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 4, len(block.target)))])
    columns = rng.integers(0, LAYOUT.sparse, starts[-1]).astype(np.int32)
    values = rng.normal(size=starts[-1]).astype(np.float32)
    return block._replace(sparse=Sparse(starts.astype(np.int64), columns, values))


def chunk_on_disk(number: int) -> object:
    return store_block(chunk(number))


def shards(dispatch: Dispatch, make: object) -> Shards:
    numbers = [(number,) for number in range(len(BOUNDS) + 1)]
    chunks = dispatch.starmap("make", make, numbers)
    return Shards.of_blocks(dispatch, chunks, LAYOUT, FEATURES, 700)


def files(client: Client) -> list[str]:
    """The scratch files of all workers, once nobody holds a future by mistake: a wait that timed
    out leaves its futures in the frames of an exception."""
    gc.collect()

    def found(dask_worker: object) -> list[str]:
        return [str(path) for path in Path(dask_worker.local_directory).glob("lepton/*")]

    return [path for paths in client.run(found).values() for path in paths]


def wait_until(done: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done()


def test_coefficients_are_those_of_a_matrix_in_memory_to_the_bit(client: Client) -> None:
    found = []
    for make in (chunk, chunk_on_disk):
        dispatch = Dispatch(client)
        objective = penalised(MODEL, Penalty(l2=0.01), FEATURES)
        passes = ShardPasses.over(dispatch, objective, shards(dispatch, make), None)
        train = Train(loss="logistic", max_passes=12, tolerance=1e-12)
        found.append(descend(train, Lbfgs(), passes).theta.tobytes())
    assert found[0] == found[1]


def test_every_chunk_is_a_file_that_goes_with_its_shard(client: Client) -> None:
    wait_until(lambda: not files(client))
    dispatch = Dispatch(client)
    held = shards(dispatch, chunk_on_disk)
    assert len(files(client)) == len(BOUNDS) + 1
    predictions = Sweeps(dispatch, held, MODEL).predict(np.zeros(MODEL.parameters))
    rows = [each for group in dispatch.gather(predictions.groups) for each in group]
    assert sum(each.weight.sum() for each in rows) == pytest.approx(
        make_block(rows=700).weight.sum()
    )
    del held
    wait_until(lambda: not files(client))


def test_a_worker_that_dies_takes_its_files_and_costs_their_making_again() -> None:
    query = Query(np.linspace(-1, 1, MODEL.parameters))
    with cluster() as client:
        dispatch = Dispatch(client, retries=2)
        sweeps = Sweeps(dispatch, shards(dispatch, chunk_on_disk), MODEL)
        before = sweeps.sums(query)
        first = set(files(client))
        victim = client.who_has(list(sweeps.shards.futures))[sweeps.shards.futures[0].key][0]
        os.kill(client.run(os.getpid, workers=[victim])[victim], signal.SIGKILL)
        after = sweeps.sums(query)
        assert before.gradient.tobytes() == after.gradient.tobytes()
        assert set(files(client)) != first
        del sweeps
        wait_until(lambda: not files(client))


def test_a_stored_block_that_travels_leaves_its_first_place_free_to_go(client: Client) -> None:
    """Moved between two workers of this machine, or spilled, the bytes stay where they are."""
    here, there = client.nthreads()
    stored = client.submit(chunk_on_disk, 3, workers=[here], key="travels-1")
    expected = chunk(3)

    def moved(stored: object) -> tuple[object, object]:
        return stored.read(), stored

    read = client.submit(moved, stored, workers=[there], key="travels-2")
    wait_until(read.done)
    stored.release()
    block = client.submit(lambda pair: pair[1].read(), read, key="travels-3").result()
    for one, other in zip(block[:4], expected[:4], strict=True):
        assert np.array_equal(one, other)
    for one, other in zip(block.sparse, expected.sparse, strict=True):
        assert np.array_equal(one, other)
    read.release()
    wait_until(lambda: not files(client))


def test_a_spilled_block_is_read_again(client: Client) -> None:
    stored = client.submit(chunk_on_disk, 3, key="spilled-1")
    wait_until(stored.done)

    def spill(dask_worker: object) -> int:
        return dask_worker.data.evict() if "spilled-1" in dask_worker.data.fast else 0

    assert max(client.run(spill).values()) > 0
    block = client.submit(lambda stored: stored.read(), stored, key="spilled-2").result()
    assert np.array_equal(block.dense, chunk(3).dense)


def test_a_pickled_block_carries_its_contents(client: Client) -> None:
    def again() -> bool:
        stored = store_block(chunk(3))
        pickled = pickle.dumps(stored)
        before = stored.read()
        del stored
        return np.array_equal(pickle.loads(pickled).read().dense, before.dense)

    assert client.submit(again, pure=False).result()


def test_a_file_that_is_gone_is_told_in_words(client: Client) -> None:
    def read_what_is_gone() -> None:
        stored = store_block(chunk(3))
        stored.file.path.unlink()
        stored.read()

    future: Future = client.submit(read_what_is_gone, pure=False)
    with pytest.raises(RunError, match=r"scratch folder .* failed: No such file"):
        future.result()
