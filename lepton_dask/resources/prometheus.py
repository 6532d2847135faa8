"""The status as text for Prometheus.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lepton_dask.resources.status import ClassStatus, RunStatus, Status, WorkerStatus

Figure = Literal[
    "weight",
    "reserve",
    "minimum",
    "maximum",
    "demand",
    "share",
    "used",
    "running",
    "waiting",
    "done",
]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]
"""Labels and a value."""


@dataclass(frozen=True)
class Metric:
    """A metric's name, `gauge` or `counter`, what it says, and its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def exposition(status: Status) -> str:
    """All metrics of a status, each with its HELP and TYPE."""
    return "".join(f"{line}\n" for metric in metrics(status) for line in _lines(metric))


def metrics(status: Status) -> Iterator[Metric]:
    yield from _of_the_scheduler(status)
    yield from _of_classes(status["classes"])
    yield from _of_workers(status["workers"])
    yield from _of_runs(status["runs"])


def _of_the_scheduler(status: Status) -> Iterator[Metric]:
    about = {"mode": status["mode"], "dask": status["dask"]}
    faults = [({"hook": hook}, count) for hook, count in status["faults"].items()]
    yield _gauge("lepton_info", "How priorities are kept, and by which Dask.", [(about, 1)])
    yield _alone("lepton_uptime_seconds", "gauge", "Since installed.", status["uptime_s"])
    yield _alone("lepton_slots", "gauge", "Threads of all workers.", status["slots"])
    yield _alone(
        "lepton_impossible_tasks",
        "gauge",
        "Tasks that ask for more than any worker has.",
        len(status["impossible"]),
    )
    yield _alone(
        "lepton_hook_seconds_total", "counter", "Spent in the plugin.", status["hook_seconds"]
    )
    yield _counter("lepton_faults_total", "Errors inside a hook of the plugin.", faults)


def _of_classes(classes: dict[str, ClassStatus]) -> Iterator[Metric]:
    def each(figure: Figure) -> list[Sample]:
        return [({"class": name}, found[figure]) for name, found in classes.items()]

    latencies = [
        ({"class": name, "quantile": quantile}, seconds)
        for name, found in classes.items()
        for quantile, seconds in (
            ("0.5", found["latency_p50_s"]),
            ("0.99", found["latency_p99_s"]),
        )
        if seconds is not None
    ]
    yield _gauge("lepton_class_weight", "Share among those that want more.", each("weight"))
    yield _gauge("lepton_class_reserve_ratio", "Part held for it.", each("reserve"))
    yield _gauge("lepton_class_minimum_ratio", "Least part while it has work.", each("minimum"))
    yield _gauge("lepton_class_maximum_ratio", "Most that it may have.", each("maximum"))
    yield _gauge("lepton_class_demand_slots", "Slots that it could use.", each("demand"))
    yield _gauge("lepton_class_share_slots", "Slots that it is allocated.", each("share"))
    yield _gauge("lepton_class_used_slots", "Slots used, of the last seconds.", each("used"))
    yield _gauge("lepton_class_running_tasks", "Tasks that run.", each("running"))
    yield _gauge("lepton_class_waiting_tasks", "Tasks that wait.", each("waiting"))
    yield _counter("lepton_class_done_tasks_total", "Tasks done.", each("done"))
    yield _gauge("lepton_class_latency_seconds", "From submission to done, recently.", latencies)


def _of_workers(workers: list[WorkerStatus]) -> Iterator[Metric]:
    slots, running, acknowledged, lanes = [], [], [], []
    for worker in workers:
        label = {"worker": worker["address"]}
        slots.append((label, worker["slots"]))
        running.append((label, worker["running"]))
        acknowledged.append((label, worker["acknowledged"]))
        lanes += [({**label, "class": name}, count) for name, count in worker["lanes"].items()]
    yield _gauge("lepton_worker_slots", "Threads.", slots)
    yield _gauge("lepton_worker_running_tasks", "Tasks that run.", running)
    yield _gauge("lepton_worker_acknowledged", "Whether it works by its lanes.", acknowledged)
    yield _gauge("lepton_worker_lanes", "Tasks of a class that it may run at once.", lanes)


def _of_runs(runs: list[RunStatus]) -> Iterator[Metric]:
    """Two runs may have one name, but no two samples one set of labels: `run` counts them."""
    labels = [{"run": str(i), "name": run["name"]} for i, run in enumerate(runs, start=1)]
    passes = [(at, run["passes"]) for at, run in zip(labels, runs, strict=True)]
    losses = [
        (at, run["losses"][-1]) for at, run in zip(labels, runs, strict=True) if run["losses"]
    ]
    yield _alone("lepton_runs", "gauge", "Runs in progress.", len(runs))
    yield _gauge(
        "lepton_run_passes", "Passes over the rows.", [(at, n) for at, n in passes if n is not None]
    )
    yield _gauge("lepton_run_loss", "The last loss.", losses)


def _gauge(name: str, help_: str, samples: Iterable[Sample]) -> Metric:
    return Metric(name, "gauge", help_, tuple(samples))


def _counter(name: str, help_: str, samples: Iterable[Sample]) -> Metric:
    return Metric(name, "counter", help_, tuple(samples))


def _alone(name: str, kind: str, help_: str, value: float) -> Metric:
    return Metric(name, kind, help_, (({}, value),))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for labels, value in metric.samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{metric.name}{f'{{{pairs}}}' if pairs else ''} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """`nan` and `inf` as Go spells them; all others as the shortest text that is the number."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return repr(number).replace("inf", "Inf")
