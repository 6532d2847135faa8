"""Passes over shards on a cluster: the same bits whoever computes them, and after losses."""

import contextlib
import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from in_memory import BlockPasses, make_block, split_block

from lepton_dask.errors import ClusterError, Interrupted, RunError
from lepton_dask.learn.descent import descend
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.evaluate import Threshold
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.objective import penalised
from lepton_dask.learn.optimizers import GradientDescent, Lbfgs
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.scoring import choose_threshold, score
from lepton_dask.learn.sweeps import Predictions, Shards, Sweeps
from lepton_dask.learn.tallies import Predicted, class_tally
from lepton_dask.learn.train import Train
from lepton_dask.matrix import DesignMatrix, Layout

pytestmark = pytest.mark.cluster

LEVELS = (3, 5)
LAYOUT = Layout(4, LEVELS)
FEATURES = tuple(f"x{i}" for i in range(LAYOUT.coefficients))
BOUNDS = [0, 40, 41, 200, 333, 333, 480, 610]


@contextlib.contextmanager
def cluster(workers=2, threads=1, processes=False, **options):
    if processes:
        options["host"] = "127.0.0.1"
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=processes,
            dashboard_address="127.0.0.1:0",
            **options,
        ) as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with cluster() as shared:
        yield shared


def design(client, block, bounds=BOUNDS):
    """The block as a persisted design matrix whose chunks are cut at `bounds`."""
    rows = tuple(np.diff([0, *bounds, len(block.target)]).tolist())

    def array(whole):
        chunks = (rows, *((size,) for size in whole.shape[1:]))
        return da.from_array(whole, chunks=chunks)

    columns = client.persist([array(column) for column in block[:4]])
    return DesignMatrix(*columns, LAYOUT, FEATURES)


def model(loss="logistic"):
    return LinearModel(chosen_loss(loss), LAYOUT)


def objective(loss="logistic", **penalty):
    return penalised(model(loss), Penalty(**penalty), FEATURES)


def trained(client, optimizer, loss="logistic"):
    block = make_block(rows=700, loss=loss)
    dispatch = Dispatch(client)
    shards = Shards.place(dispatch, design(client, block))
    passes = ShardPasses.over(dispatch, objective(loss, l2=0.01), shards, None)
    train = Train(loss=loss, max_passes=12, tolerance=1e-12)
    return descend(train, optimizer, passes).theta


@pytest.mark.parametrize("optimizer", [Lbfgs(), GradientDescent()])
def test_coefficients_are_equal_to_the_byte_on_any_number_of_workers_and_threads(optimizer):
    found = set()
    for workers, threads in [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)]:
        with cluster(workers, threads) as client:
            found.add(trained(client, optimizer).tobytes())
    in_memory = BlockPasses(split_block(make_block(rows=700), BOUNDS), LEVELS, "logistic", l2=0.01)
    train = Train(loss="logistic", max_passes=12, tolerance=1e-12)
    found.add(descend(train, optimizer, in_memory).theta.tobytes())
    assert len(found) == 1


def test_a_lost_worker_changes_no_bit():
    block = make_block(rows=700)
    theta = np.linspace(-1, 1, 13)
    with cluster(2, processes=True) as client:
        dispatch = Dispatch(client, retries=2)
        sweeps = Sweeps(dispatch, Shards.place(dispatch, design(client, block)), model())
        before = sweeps.sums(Query(theta))
        holders = client.who_has(list(sweeps.shards.futures))
        victim = holders[sweeps.shards.futures[0].key][0]
        pid = client.run(os.getpid, workers=[victim])[victim]
        os.kill(pid, signal.SIGKILL)
        after = sweeps.sums(Query(theta))
    assert before.gradient.tobytes() == after.gradient.tobytes()
    assert (before.loss, before.weight) == (after.loss, after.weight)


def test_losing_every_worker_ends_the_wait():
    """The session's check raises once no worker was there for its time limit; a pass heeds it."""
    with cluster(1, processes=True) as client:
        lost_at = None

        def check():
            if lost_at is not None and time.monotonic() - lost_at > 1:
                raise ClusterError("no worker")

        dispatch = Dispatch(client, check=check)
        sweeps = Sweeps(
            dispatch,
            Shards.place(dispatch, design(client, make_block(rows=700))),
            model(),
        )
        client.cluster.scale(0)
        lost_at = time.monotonic()
        with pytest.raises(ClusterError):
            sweeps.sums(Query(np.zeros(13)))


def test_one_shard_a_worker_thread_and_the_chunks_themselves_are_let_go(client):
    dispatch = Dispatch(client)
    matrix = design(client, make_block(rows=700))
    chunk = next(matrix.blocks())[0]
    shards = Shards.place(dispatch, matrix)
    assert len(shards.futures) <= 2
    assert sorted(number for numbers in shards.chunks for number in numbers) == list(range(9))
    assert shards.rows == 700
    del matrix
    deadline = time.monotonic() + 5
    while chunk in client.who_has() and client.who_has()[chunk] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not client.who_has().get(chunk)
    sums = Sweeps(dispatch, shards, model()).sums(Query(np.zeros(13)))
    assert sums.weight > 0


def test_passes_run_where_their_shards_lie_however_busy_that_worker_is():
    # Shards as small as these Dask steals, by what moving and waiting would cost.
    with dask.config.set({"distributed.scheduler.work-stealing": False}), cluster() as client:
        shards = Shards.place(Dispatch(client), design(client, make_block(rows=700)))
        sweeps = Sweeps(Dispatch(client), shards, model())
        first = client.who_has(list(shards.futures))
        [busy] = first[shards.futures[0].key]
        others = client.map(
            time.sleep, [0.02] * 60, workers=[busy], priority=1, key="other", pure=False
        )
        for _ in range(4):
            sweeps.column_sums()
        assert client.who_has(list(shards.futures)) == first
        client.cancel(others)


def test_results_of_passes_are_let_go(client):
    dispatch = Dispatch(client, label="leaks")
    shards = Shards.place(dispatch, design(client, make_block(rows=700)))
    sweeps = Sweeps(dispatch, shards, model())
    for _ in range(3):
        sweeps.sums(Query(np.zeros(13)))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        kept = [key for key in client.who_has() if str(key).startswith("leaks.pass")]
        if not kept:
            break
        time.sleep(0.05)
    assert kept == []


def test_priority_resources_and_retries_reach_every_task_of_a_pass():
    with cluster(1, resources={"slots": 1}) as client:

        def note(dask_scheduler, keys):
            return {
                key: (
                    dask_scheduler.tasks[key].priority[0],
                    dask_scheduler.tasks[key].resource_restrictions,
                    dask_scheduler.tasks[key].retries,
                )
                for key in keys
            }

        dispatch = Dispatch(client, priority=7, resources={"slots": 1}, retries=3)
        shards = Shards.place(dispatch, design(client, make_block(rows=700)))
        futures = dispatch.map("probe", len, shards.futures)
        dispatch.wait(futures)
        keys = [future.key for future in (*shards.futures, *futures)]
        seen = client.run_on_scheduler(note, keys=keys)
    assert set(map(repr, seen.values())) == {repr((-7, {"slots": 1}, 3))}


def test_a_request_to_stop_ends_a_pass(client):
    stop = []

    def check():
        if stop:
            raise Interrupted(15)

    dispatch = Dispatch(client, check=check)
    shards = Shards.place(dispatch, design(client, make_block(rows=700)))
    slow = dispatch.map("slow", lambda _: time.sleep(1.5), shards.futures)
    stop.append(True)
    began = time.monotonic()
    with pytest.raises(Interrupted):
        dispatch.gather(slow)
    assert time.monotonic() - began < 1


def test_what_a_task_raises_reaches_the_caller(client):
    def fail(_):
        raise RunError("a bad row", file="a.csv", partition=3)

    dispatch = Dispatch(client)
    shards = Shards.place(dispatch, design(client, make_block(rows=700)))
    with pytest.raises(RunError, match=r"a\.csv, partition 3: a bad row"):
        dispatch.gather(dispatch.map("fail", fail, shards.futures))


def test_a_part_without_weight_is_refused(client):
    block = make_block(rows=700)
    dispatch = Dispatch(client)
    shards = Shards.place(dispatch, design(client, block._replace(weight=np.zeros(700))))
    passes = ShardPasses.over(dispatch, objective(), shards, None)
    with pytest.raises(RunError, match="no row has a weight above zero"):
        passes.null_model()


def test_a_goal_is_measured_on_the_validation_part(client):
    dispatch = Dispatch(client)
    training, validation = (
        Shards.place(dispatch, design(client, make_block(rows=700, seed=seed))) for seed in (0, 0)
    )
    passes = ShardPasses.over(dispatch, objective(), training, validation)
    goal = {"metric": "roc_auc", "at_least": 0.7}
    result = descend(
        Train(loss="logistic", goal=goal, early_stopping={"patience": 5}), Lbfgs(), passes
    )
    assert result.stopped.code == "goal"
    assert result.history[-1].validation >= 0.7
    assert result.history[0].validation == 0.5
    # Validation rows equal to the training rows, no penalty: the two losses are one number.
    loss = passes.validation_loss(result.theta)
    assert loss == pytest.approx(result.history[-1].loss, rel=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_scores_of_a_model_equal_those_computed_in_one_place(client, loss):
    block = make_block(rows=700, loss=loss)
    task = chosen_loss(loss).task
    dispatch = Dispatch(client)
    shards = Shards.place(dispatch, design(client, block))
    sweeps = Sweeps(dispatch, shards, model(loss))
    theta = np.linspace(-0.5, 0.5, 13)
    names = [name for name, metric in METRICS.items() if metric.kind == task]

    predictions = sweeps.predict(theta)
    whole = [row for group in dispatch.gather(predictions.groups) for row in group]
    one = Predicted(*(np.concatenate(column) for column in zip(*whole, strict=True)))
    alone = Predictions.of_chunks(client.scatter([[one]], hash=False), rows=700)

    scattered = score(dispatch, predictions, names, task, range_rows=100)
    together = score(dispatch, alone, names, task)
    assert scattered.undefined == together.undefined == {}
    assert scattered.values == pytest.approx(together.values, rel=1e-12)
    assert (scattered.rows, scattered.skipped) == (700, 0)
    assert scattered.weight == pytest.approx(block.weight.sum())
    positives = None if loss == "squared" else int(block.target.sum())
    assert scattered.positives == positives


def test_an_undefined_score_is_none_with_its_reason(client):
    ones = Predicted(np.ones(4), np.linspace(0, 1, 4), np.ones(4))
    predictions = Predictions.of_chunks(client.scatter([[ones], [ones]], hash=False), rows=8)
    scores = score(Dispatch(client), predictions, ["roc_auc", "recall"], "classification")
    assert scores.values == {"roc_auc": None, "recall": 0.5}
    assert scores.undefined == {"roc_auc": "the rows are of one class"}


@pytest.mark.parametrize("range_rows", [1 << 20, 90])
@pytest.mark.parametrize(("metric", "bound"), [("recall", 0.9), ("precision", 0.7), ("f1", 0.5)])
def test_the_threshold_is_the_best_of_all_that_keep_the_bound(client, metric, bound, range_rows):
    rng = np.random.default_rng(4)
    p = np.round(rng.random(300), 2)
    whole = Predicted((rng.random(300) < p).astype(float), p, rng.uniform(0.5, 2, 300))
    chunks = [[Predicted(*(c[i : i + 60] for c in whole))] for i in range(0, 300, 60)]
    predictions = Predictions.of_chunks(client.scatter(chunks, hash=False), rows=300)

    wanted = Threshold(metric=metric, at_least=bound)
    found = choose_threshold(Dispatch(client), predictions, wanted, range_rows=range_rows)

    companion = {"recall": "precision", "precision": "recall"}.get(metric, metric)
    tallies = {t: class_tally(whole, t) for t in np.unique(p)}
    keeping = [t for t in tallies if METRICS[metric].score(tallies[t]) >= bound]
    best = max(METRICS[companion].score(tallies[t]) for t in keeping)
    assert found in keeping
    assert METRICS[companion].score(tallies[found]) == pytest.approx(best, rel=1e-12)


def test_no_threshold_keeps_a_bound_out_of_reach(client):
    zeros = Predicted(np.array([1.0, 0.0]), np.array([0.2, 0.8]), np.ones(2))
    predictions = Predictions.of_chunks(client.scatter([[zeros]], hash=False), rows=2)
    wanted = Threshold(metric="precision", at_least=0.9)
    assert choose_threshold(Dispatch(client), predictions, wanted) is None


def test_a_sample_is_the_same_wherever_chunks_lie():
    """The function gets it on one worker, with its share of the rows."""
    found = []
    for workers, threads in [(1, 1), (2, 2)]:
        with cluster(workers, threads) as client:
            dispatch = Dispatch(client)
            shards = Shards.place(dispatch, design(client, make_block(rows=700)))
            sweeps = Sweeps(dispatch, shards, model())
            found.append(sweeps.with_sample(140, lambda rows, share: (rows.dense, share))())
    (one, share), (other, _) = found
    assert share == pytest.approx(0.2)
    assert 130 <= len(one) <= 150
    assert one.tobytes() == other.tobytes()
