"""Priorities on a living cluster: stock scheduler and workers, which cannot import this package."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dask
import pytest
from distributed import Client, LocalCluster
from processes import eventually, started

from lepton_dask.resources import Installed, give_way, install, priority
from lepton_dask.resources.classes import Classes, ClassShare
from lepton_dask.resources.guard import FAULTS
from lepton_dask.resources.scheduler_plugin import Priorities
from lepton_dask.resources.softening import SOFT_NICE, may_harden

BULK_S = 0.3


def sleep(number: int, seconds: float = BULK_S) -> int:
    time.sleep(seconds)
    return number


def add(one: int, other: int) -> int:
    return one + other


RUNNING: list[int] = []
STARTS: list[int] = []
LOCK = threading.Lock()


def count(_number: int) -> int:
    """How many of these run at once; of a cluster in this process, which pickles by reference."""
    with LOCK:
        RUNNING.append(1)
        together = len(RUNNING)
    time.sleep(0.05)
    with LOCK:
        RUNNING.pop()
    return together


def patient(number: int) -> int:
    STARTS.append(number)
    for _ in range(300):
        give_way()
        time.sleep(0.01)
    return number


@contextmanager
def cluster_here(workers: int, threads: int) -> Iterator[Client]:
    """In this process, so that tests may look at scheduler and workers."""
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=False,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            host="127.0.0.1",
            protocol="tcp",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster_here(workers=2, threads=1) as client:
        yield client


@pytest.fixture
def installed(client: Client) -> Iterator[Installed]:
    found = install(client)
    yield found
    if "lepton-priorities" in client.cluster.scheduler.plugins:
        found.uninstall()


def plugin(client: Client) -> Priorities:
    found = client.cluster.scheduler.plugins["lepton-priorities"]
    assert type(found).__name__ == "Priorities"
    return found  # type: ignore[no-any-return]


def class_of(client: Client, key: Any) -> str:
    return plugin(client).tasks.records[key].name


@pytest.mark.usefixtures("installed")
def test_critical_work_starts_at_once_while_every_slot_is_taken(client: Client) -> None:
    bulk = client.map(sleep, range(4), seconds=1.5, pure=False)
    eventually(lambda: sum(len(w.state.executing) for w in client.cluster.workers.values()) == 2)
    with priority("critical"):
        assert client.submit(add, 1, 2, pure=False).result() == 3
    assert not any(future.done() for future in bulk)
    assert client.gather(bulk) == list(range(4))


@pytest.mark.usefixtures("installed")
def test_a_burst_is_over_with_the_next_task_that_ends(client: Client) -> None:
    bulk = client.map(sleep, range(6), pure=False)
    with priority("critical"):
        client.gather(client.map(sleep, range(2), seconds=0.01, pure=False))
    client.gather(bulk)
    assert all(w.state.nthreads == 1 for w in client.cluster.workers.values())


@pytest.mark.parametrize("kind", ["submit", "map", "delayed", "array", "frame"])
@pytest.mark.usefixtures("installed")
def test_every_task_of_a_submission_has_its_class(client: Client, kind: str) -> None:
    import dask.array as da
    import dask.dataframe as dd
    import pandas as pd

    total = dd.from_pandas(pd.DataFrame({"a": range(10)}), npartitions=3).a.sum()
    heard: dict[Any, str] = {}
    # The plugin came by value: its class is not the one imported here.
    living = type(plugin(client).tasks)
    living_enter = living._enter
    living._enter = lambda self, key, *more: _noting(heard, key, living_enter(self, key, *more))
    try:
        with priority("high"):
            if kind == "submit":
                client.submit(add, 1, 2, pure=False).result()
            elif kind == "map":
                client.gather(client.map(add, range(3), range(3), pure=False))
            elif kind == "delayed":
                dask.delayed(add)(1, dask.delayed(add)(2, 3)).compute()
            elif kind == "array":
                da.ones(10, chunks=2).sum().compute()
            else:
                total.compute()
    finally:
        living._enter = living_enter
    assert heard
    assert set(heard.values()) == {"high"}


def _noting(heard: dict[Any, str], key: Any, record: Any) -> Any:
    heard[key] = record.name
    return record


@pytest.mark.usefixtures("installed")
def test_children_submitted_inside_a_task_inherit_its_class(client: Client) -> None:
    def parent() -> str:
        from distributed import get_client

        future = get_client().submit(add, 1, 2, pure=False)
        future.result()
        return str(future.key)

    seen: dict[str, str] = {}
    living = type(plugin(client).tasks)
    living_enter = living._enter
    living._enter = lambda self, key, *more: _noting(seen, key, living_enter(self, key, *more))
    try:
        with priority("high"):
            child = client.submit(parent, pure=False).result()
    finally:
        living._enter = living_enter
    assert seen[child] == "high"


@pytest.mark.usefixtures("installed")
def test_what_critical_work_waits_for_does_not_wait_behind_lesser_work(client: Client) -> None:
    with priority("high"):
        bulk = client.map(sleep, range(20), pure=False)
    with priority("low"):
        below = client.submit(sleep, 7, 0.01, pure=False)
    with priority("critical"):
        assert client.submit(add, below, 1, pure=False).result() == 8
    assert sum(future.done() for future in bulk) < 12
    client.cancel(bulk)


@pytest.mark.usefixtures("installed")
def test_a_task_that_another_client_wants_sooner_rises(client: Client) -> None:
    bulk = client.map(sleep, range(12), pure=False)
    with priority("low"):
        first = client.submit(sleep, 3, 0.01, key="wanted-twice", pure=False)
    eventually(lambda: "wanted-twice" in plugin(client).tasks.records)
    assert class_of(client, "wanted-twice") == "low"
    with Client(client.scheduler.address) as other, priority("critical"):
        second = other.submit(sleep, 3, 0.01, key="wanted-twice", pure=False)
        assert second.result() == 3
        assert class_of(client, "wanted-twice") == "critical"
    assert first.result() == 3
    assert not bulk[-1].done()
    client.cancel(bulk)


def later(client: Client, seconds: float) -> Any:
    """Moves the clock of the scheduler's tasks."""
    clock = type(plugin(client).tasks).age.__globals__
    return patch.dict(clock, {"monotonic": lambda: time.monotonic() + seconds})


@pytest.mark.usefixtures("installed")
def test_low_work_that_has_waited_long_rises_but_never_to_critical(client: Client) -> None:
    bulk = client.map(sleep, range(8), seconds=1.0, pure=False)
    with priority("low"):
        waits = client.submit(sleep, 1, 0.0, pure=False)
    eventually(lambda: waits.key in plugin(client).tasks.records)
    with later(client, 181):
        eventually(lambda: class_of(client, waits.key) == "normal")
    with later(client, 1e6):
        eventually(lambda: class_of(client, waits.key) == "high")
        time.sleep(0.6)
        assert class_of(client, waits.key) == "high"
    client.cancel(bulk)


@pytest.mark.usefixtures("installed")
def test_work_whose_deadline_comes_near_rises_with_what_it_waits_for(client: Client) -> None:
    bulk = client.map(sleep, range(8), seconds=1.0, pure=False)
    with priority("low"):
        below = client.submit(sleep, 1, 0.0, pure=False)
    with priority("low", deadline_s=100):
        waits = client.submit(add, below, 1, pure=False)
    eventually(lambda: waits.key in plugin(client).tasks.records)
    assert class_of(client, waits.key) == "normal"
    assert class_of(client, below.key) == "normal"
    with later(client, 99.5):
        eventually(lambda: class_of(client, waits.key) == "critical")
        assert class_of(client, below.key) == "critical"
    client.cancel(bulk)


@pytest.mark.usefixtures("installed")
def test_threads_of_other_work_give_way_while_there_is_critical_work(client: Client) -> None:
    if not may_harden():
        pytest.skip("this system lets no thread's niceness be taken back")
    [worker, _] = client.cluster.workers.values()

    def niceness() -> set[int]:
        threads = worker.executors["default"]._threads
        return {os.getpriority(os.PRIO_PROCESS, thread.native_id) for thread in threads}

    client.gather(client.map(sleep, range(4), seconds=0.05, pure=False))
    usual = niceness()
    with priority("critical"):
        critical = client.map(sleep, range(2), seconds=0.5, pure=False)
    eventually(lambda: niceness() == {nice + SOFT_NICE for nice in usual})
    client.gather(critical)
    eventually(lambda: niceness() == usual)


@pytest.mark.usefixtures("client")
def test_rules_for_clients_and_prefixes_count_where_a_task_says_nothing(client: Client) -> None:
    found = install(client, default="low", prefixes={"add": "high"})
    one = client.submit(add, 1, 2, pure=False)
    other = client.submit(sleep, 1, 0.0, pure=False)
    client.gather([one, other])
    assert class_of(client, one.key) == "high"
    assert class_of(client, other.key) == "low"
    found.uninstall()


def test_an_unknown_class_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="'lwo' is no class"):
        install(client, default="lwo")  # type: ignore[arg-type]


def test_uninstall_puts_everything_back(client: Client) -> None:
    assert not any(client.cluster.scheduler.resources.values())
    scheduler, workers = client.cluster.scheduler, list(client.cluster.workers.values())

    def state() -> list[Any]:
        return [
            set(scheduler.plugins),
            set(scheduler.handlers),
            dict(scheduler.stream_handlers),
            {name: dict(offers) for name, offers in scheduler.resources.items() if offers},
            [
                (
                    set(w.plugins),
                    set(w.stream_handlers),
                    set(w.executors),
                    dict(w.state.total_resources),
                    dict(w.state.available_resources),
                    w.state.nthreads,
                )
                for w in workers
            ],
        ]

    before = state()
    found = install(client)
    assert state() != before
    bulk = client.map(sleep, range(8), pure=False)
    with priority("critical"):
        critical = client.map(sleep, range(6), seconds=0.1, pure=False)
    time.sleep(0.15)
    found.uninstall()
    assert state() == before
    assert client.gather(bulk) == list(range(8))
    assert client.gather(critical) == list(range(6))


HOOKS = (
    "submitted",
    "update_graph",
    "transition",
    "add_worker",
    "remove_worker",
    "remove_client",
    "hello",
    "lanes_set",
    "tick",
    "act",
    "report",
)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_in_a_hook_stops_nothing_and_ends_in_plain_priorities(
    client: Client, hook: str
) -> None:
    found = install(client)
    living = plugin(client)
    broken = getattr(type(living), hook).__wrapped__

    def boom(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("chaos")

    guard = getattr(type(living), hook)
    cell = next(c for c in guard.__closure__ if c.cell_contents is broken)
    cell.cell_contents = boom
    boom.__name__ = hook  # type: ignore[attr-defined]
    try:
        if hook in ("add_worker", "remove_worker", "remove_client", "hello", "lanes_set", "report"):
            for _ in range(FAULTS):
                getattr(living, hook)("anything", "else")
        futures = client.map(sleep, range(20), seconds=0.01, pure=False)
        for number in range(FAULTS):  # a graph each
            with priority("critical"):
                assert client.submit(add, number, 1, pure=False).result() == number + 1
        assert client.gather(futures) == list(range(20))
        eventually(lambda: found.status()["mode"] == "priorities")
        assert found.status()["faults"][hook] >= 1
    finally:
        cell.cell_contents = broken
        found.uninstall()
    assert client.submit(add, 1, 1, pure=False).result() == 2


def test_a_dask_that_does_not_fit_gets_plain_priorities_and_a_reason(client: Client) -> None:
    handlers = client.cluster.scheduler.stream_handlers
    handlers["hidden"] = handlers.pop("update-graph")
    try:
        found = install(client)
    finally:
        handlers["update-graph"] = handlers.pop("hidden")
    try:
        status = found.status()
        assert status["mode"] == "priorities"
        assert "takes no graphs" in status["reason"]
        with priority("critical"):
            future = client.submit(add, 1, 2, pure=False)
            assert future.result() == 3
        assert client.cluster.scheduler.tasks[future.key].priority[0] == -20
    finally:
        found.uninstall()


def test_memory_bounds_how_many_tasks_of_a_step_a_worker_runs() -> None:
    with cluster_here(workers=1, threads=4) as client:
        install(client)
        [worker] = client.cluster.workers.values()
        asked = {"memory": worker.state.total_resources["memory"] * 0.4}
        assert max(client.gather(client.map(count, range(12), pure=False))) == 4
        assert max(client.gather(client.map(count, range(12), resources=asked, pure=False))) == 2


@pytest.mark.usefixtures("installed")
def test_what_no_worker_can_ever_meet_is_told(client: Client, installed: Installed) -> None:
    future = client.submit(add, 1, 2, resources={"GPU": 2}, pure=False)
    eventually(lambda: bool(installed.status()["impossible"]))
    [told] = installed.status()["impossible"]
    assert told["key"] == future.key
    assert (told["asks"], told["most"]) == ("GPU 2", "0")
    future.cancel()


def test_a_class_with_a_maximum_runs_in_no_more_slots(client: Client) -> None:
    found = install(client, classes=Classes((ClassShare("low", maximum=0.5),)))
    try:
        # Those that are not named are there as they are by default.
        assert found.status()["classes"]["high"]["weight"] == 4
        assert max(client.gather(client.map(count, range(10), pure=False))) == 2
        with priority("low"):
            assert max(client.gather(client.map(count, range(10), pure=False))) == 1
    finally:
        found.uninstall()


def test_a_task_that_may_start_again_gives_way_to_critical_work(client: Client) -> None:
    found = install(client, preempt=True)
    STARTS.clear()
    try:
        bulk = client.map(patient, range(2), pure=False)
        eventually(lambda: len(STARTS) == 2)
        with priority("critical"):
            critical = client.map(sleep, range(6), seconds=0.05, pure=False)
        client.gather(critical)
        assert not any(future.done() for future in bulk)
        assert client.gather(bulk) == [0, 1]
        assert len(STARTS) > 2
    finally:
        found.uninstall()


BLOCKED = "import sys\nsys.modules['lepton_dask'] = None\n"


def test_a_stock_cluster_that_cannot_import_the_package_has_priorities(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    there = {"PYTHONPATH": str(tmp_path)}
    scheduler = (
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--port",
        "0",
        "--no-dashboard",
    )
    with started((*scheduler, "--host", "127.0.0.1"), tmp_path, there) as first:
        address = first.saw("Scheduler at:").split()[-1]
        worker = (sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1")
        with started((*worker, "--no-dashboard"), tmp_path, there), Client(address) as client:
            client.wait_for_workers(1)
            blocked = client.run(lambda: sys.modules.get("lepton_dask", "free") is None)
            assert set(blocked.values()) == {True}
            found = install(client)
            status = found.status()
            assert (status["mode"], status["faults"]) == ("shares", {})
            assert status["workers"][0]["lanes"]["lepton-critical"] == 2
            bulk = client.map(lambda n: time.sleep(1.5) or n, range(3), pure=False)
            eventually(lambda: found.status()["workers"][0]["running"] == 1)
            with priority("critical"):
                assert client.submit(lambda: 1, pure=False).result() == 1
            assert not any(future.done() for future in bulk)
            found.uninstall()
            assert client.gather(bulk) == [0, 1, 2]
