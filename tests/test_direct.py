"""Questions past the scheduler: answered by idle workers, and left to tasks by all others."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from distributed import Client, LocalCluster
from in_memory import make_block

from lepton_dask.cluster import connect
from lepton_dask.config.cluster import AddressCluster, ClusterConfig
from lepton_dask.config.cluster import LocalCluster as LocalConfig
from lepton_dask.config.load import LoadedConfig
from lepton_dask.learn import direct
from lepton_dask.learn.direct import Answer, Asked, DirectWay, Pace, Question
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.learn.objective import unpenalised
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.sweeps import Shards, Sweeps
from lepton_dask.matrix import Block, Layout


class OneWorker:
    """As much of a worker as is asked."""

    def __init__(self, folder, data, threads=1):
        folder.mkdir(exist_ok=True)
        self.local_directory = str(folder)
        self.data = data
        self.state = SimpleNamespace(
            running=True, executing=set(), ready=[], constrained=[], nthreads=threads
        )


@pytest.fixture
def folder(tmp_path_factory):
    # The path of a socket has at most some hundred characters.
    return tmp_path_factory.mktemp("w")


@pytest.fixture
def worker(folder):
    return OneWorker(folder, {"numbers": [1, 2, 3]})


@pytest.fixture
def way(worker):
    plugin = Asked()
    plugin.setup(worker)
    opened = DirectWay({"here": plugin.place})
    yield opened
    opened.close()
    plugin.teardown(worker)


def total(numbers, more):
    return sum(numbers) + more


def fail(numbers):
    raise ValueError(numbers)


def no_check():
    pass


def asked(way, *questions, check=no_check):
    begun = way.begin(questions, check)
    return None if begun is None else begun()


SUM = Question("here", "numbers", total, (4,))


def test_an_idle_worker_answers_with_what_the_function_makes_of_its_result(way):
    assert asked(way, SUM) == [Answer(10)]
    assert asked(way, SUM._replace(arguments=(5,))) == [Answer(11)]


def test_none_is_an_answer_too(way):
    assert asked(way, SUM._replace(function=_nothing, arguments=())) == [Answer(None)]


def _nothing(_):
    return None


@pytest.mark.parametrize("what", ["executing", "ready", "constrained", "paused"])
def test_a_worker_with_other_work_leaves_it_to_tasks_for_a_while(way, worker, what, monkeypatch):
    monkeypatch.setattr(direct, "HOLD_S", 0.2)
    if what == "paused":
        worker.state.running = False
    else:
        setattr(worker.state, what, ["somebody else's task"])
    assert asked(way, SUM) == [None]
    worker.state.running, worker.state.executing = True, set()
    worker.state.ready, worker.state.constrained = [], []
    assert asked(way, SUM) is None
    time.sleep(0.25)
    assert asked(way, SUM) == [Answer(10)]


def test_what_was_spilled_is_not_read_back(folder):
    spilling = type("Buffer", (dict,), {"fast": {}})({"numbers": [1]})
    plugin = Asked()
    plugin.setup(OneWorker(folder, spilling))
    way = DirectWay({"here": plugin.place})
    assert asked(way, SUM) == [None]
    spilling.fast["numbers"] = [1]
    way._held_until = 0.0
    assert asked(way, SUM) == [Answer(5)]
    way.close()
    plugin.teardown(None)


def test_what_raises_is_left_to_a_task_and_the_worker_answers_on(way, monkeypatch):
    monkeypatch.setattr(direct, "HOLD_S", 0.0)
    assert asked(way, SUM._replace(function=fail, arguments=())) == [None]
    assert asked(way, SUM) == [Answer(10)]


def test_a_worker_that_is_not_known_is_asked_by_tasks(way):
    assert asked(way, SUM, SUM._replace(address="elsewhere")) == [Answer(10), None]


def test_as_many_questions_at_a_time_as_a_worker_has_threads(folder):
    plugin = Asked()
    plugin.setup(OneWorker(folder, {"numbers": [1, 2, 3]}, threads=2))
    way = DirectWay({"here": plugin.place})
    assert asked(way, SUM, SUM, SUM) == [Answer(10), Answer(10), None]
    way.close()
    plugin.teardown(None)


def test_while_one_training_waits_others_take_tasks(way):
    first = way.begin([SUM], no_check)
    assert way.begin([SUM], no_check) is None
    assert first() == [Answer(10)]
    assert asked(way, SUM) == [Answer(10)]


def test_a_broken_connection_leaves_everything_to_tasks_for_good(way, monkeypatch):
    def die(*_):
        raise EOFError

    monkeypatch.setattr(direct, "HOLD_S", 0.0)
    monkeypatch.setattr(Asked, "_is_busy", die)
    assert asked(way, SUM) == [None]
    monkeypatch.undo()
    way._held_until = 0.0
    assert asked(way, SUM) == [None]


def test_a_worker_that_hangs_is_waited_for_no_longer_than_patience(way, monkeypatch):
    monkeypatch.setattr(direct, "PATIENCE_S", 0.1)
    monkeypatch.setattr(direct, "POLL_S", 0.02)
    monkeypatch.setattr(direct, "HOLD_S", 0.0)
    released = threading.Event()
    RELEASED.append(released)
    assert asked(way, SUM._replace(function=hang, arguments=())) == [None]
    released.set()
    # A late answer would be taken for the next question's.
    assert asked(way, SUM) == [None]


RELEASED = []


def hang(_):
    RELEASED[-1].wait(10)


def test_a_run_that_is_stopped_stops_waiting(way):
    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(way, SUM, check=check)
    assert asked(way, SUM) is None


def test_a_folder_too_deep_for_a_socket_has_no_direct_way(folder):
    deep = folder / ("d" * 120)
    plugin = Asked()
    plugin.setup(OneWorker(deep, {}))
    assert plugin.place is None


def test_a_stranger_without_the_key_is_not_let_in(way, worker):
    place = direct.Place(str(Path(worker.local_directory) / direct.SOCKET), b"guess", 1)
    with pytest.raises(Exception, match="digest sent was rejected"):
        DirectWay({"here": place})
    assert asked(way, SUM) == [Answer(10)]


def test_a_pass_is_short_by_its_bytes_first_and_by_the_last_one_then():
    assert Pace.expected(1e6).is_short
    assert not Pace.expected(1e9).is_short
    assert Pace(0.19).is_short
    assert not Pace(0.21).is_short


MODEL = LinearModel(chosen_loss("logistic"), Layout(4))
THETA = np.linspace(-1.0, 1.0, 5)


@contextmanager
def cluster(**options):
    """Two workers of one thread, unless the options say otherwise."""
    options = {"n_workers": 2, "threads_per_worker": 1, **options}
    with LocalCluster(dashboard_address="127.0.0.1:0", **options) as local, Client(local) as client:
        yield client


@pytest.fixture(scope="module")
def client():
    with cluster() as shared:
        yield shared


class Counting(Dispatch):
    """A dispatch that tells the names of its tasks."""

    names: ClassVar[list[str]] = []

    def starmap(self, name, *arguments):
        self.names.append(name)
        return super().starmap(name, *arguments)


def sweeps_on(client, **terms):
    block = make_block(rows=600)
    dispatch = Counting(client, direct=DirectWay.open(client), **terms)
    blocks = [
        dispatch.submit("block", _some, block, first, on=None) for first in range(0, 600, 100)
    ]
    shards = Shards.of_blocks(dispatch, blocks, Layout(4), ("a", "b", "c", "d"), 600)
    Counting.names = []
    return Sweeps(dispatch, shards, MODEL)


def _some(block, first):
    rows = slice(first, first + 100)
    codes = np.empty((100, 0), np.int32)
    return Block(block.dense[rows], codes, block.target[rows], block.weight[rows])


@pytest.mark.cluster
def test_a_short_pass_is_no_task_and_has_the_bits_of_one(client):
    sweeps = sweeps_on(client)
    asked = sweeps.sums(Query(THETA, curvature=True))
    assert sweeps.dispatch.names == []
    sweeps.dispatch.direct.close()
    told = sweeps.sums(Query(THETA, curvature=True))
    assert sweeps.dispatch.names == ["pass"]
    assert told.loss == asked.loss
    assert told.hessian.tobytes() == asked.hessian.tobytes()
    assert told.gradient.tobytes() == asked.gradient.tobytes()


@pytest.mark.cluster
@pytest.mark.parametrize("column", ["normal", "of rare ones"])
def test_the_look_at_all_rows_is_for_columns_that_a_sample_does_not_tell(client, column):
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(20_000, 4))
    if column == "of rare ones":
        dense[:, 3] = np.arange(20_000) < 200
    target, weight = (rng.random(20_000) < 0.5).astype(float), np.ones(20_000)
    block = Block(dense, np.empty((20_000, 0), np.int32), target, weight)
    dispatch = Counting(client)
    blocks = [dispatch.submit("block", _all, block)]
    shards = Shards.of_blocks(dispatch, blocks, Layout(4), ("a", "b", "c", "d"), 20_000)
    Counting.names = []
    outset = ShardPasses.over(dispatch, unpenalised(MODEL), shards, None).outset()
    assert outset.pilot is not None
    looked = ["columns"] if column == "of rare ones" else []
    assert Counting.names == ["sample", *looked]


def _all(block):
    return block


@pytest.mark.cluster
def test_a_long_pass_is_a_task_a_thread(client, monkeypatch):
    monkeypatch.setattr(direct, "LONGEST_S", 0.0)
    sweeps = sweeps_on(client)
    sweeps.sums(Query(THETA))
    assert sweeps.dispatch.names == ["pass"]


@pytest.mark.cluster
def test_a_step_that_asks_for_resources_asks_the_scheduler():
    with cluster(n_workers=1, processes=False, resources={"gpu": 1}) as client:
        sweeps = sweeps_on(client, resources={"gpu": 1.0})
        sweeps.sums(Query(THETA))
        assert sweeps.dispatch.names == ["pass"]


@pytest.mark.cluster
def test_beside_other_work_a_pass_is_a_task_in_its_turn(client):
    sweeps = sweeps_on(client)
    expected = sweeps.sums(Query(THETA))
    busy = client.map(time.sleep, [0.4, 0.4], pure=False)
    while not any(client.processing().values()):
        time.sleep(0.01)
    time.sleep(0.1)
    found = sweeps.sums(Query(THETA))
    assert sweeps.dispatch.names == ["pass"]
    assert found.gradient.tobytes() == expected.gradient.tobytes()
    del busy


@pytest.mark.cluster
def test_a_worker_that_is_lost_costs_a_recompute_and_no_bit():
    with cluster() as client:
        sweeps = sweeps_on(client, retries=2)
        before = sweeps.sums(Query(THETA))
        assert sweeps.dispatch.names == []
        victim = sweeps.shards.workers[0]
        pid = client.run(os.getpid, workers=[victim])[victim]
        os.kill(pid, signal.SIGKILL)
        after = sweeps.sums(Query(THETA))
        assert sweeps.dispatch.names == ["pass"]
    assert before.gradient.tobytes() == after.gradient.tobytes()


@pytest.mark.cluster
def test_a_cluster_is_a_runs_own_if_it_started_it(client):
    at = AddressCluster(kind="address", address=client.scheduler.address)
    for cluster, is_own in [(LocalConfig(workers=1), True), (at, False)]:
        config = ClusterConfig(cluster=cluster, dashboard="127.0.0.1:0")
        with connect(LoadedConfig(config, None, None)) as session:
            assert session.is_own is is_own
