"""The priorities' status as text for Prometheus, read back by Prometheus' own parser."""

from __future__ import annotations

import math

import pytest
from statuses import busy, run_status

from lepton_dask.resources.prometheus import exposition

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not here")

Labels = frozenset[tuple[str, str]]


def read(text: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(**labels: str) -> Labels:
    return frozenset(labels.items())


def of_class(name: str, **labels: str) -> Labels:
    return frozenset({"class": name, **labels}.items())


def test_every_figure_of_a_class_is_a_sample():
    found = read(exposition(busy()))
    assert found["lepton_class_demand_slots", of_class("low")] == 700
    assert found["lepton_class_share_slots", of_class("low")] == 2.5
    assert found["lepton_class_used_slots", of_class("critical")] == 0.75
    assert found["lepton_class_waiting_tasks", of_class("low")] == 500
    assert found["lepton_class_done_tasks_total", of_class("critical")] == 1000
    assert found["lepton_class_latency_seconds", of_class("critical", quantile="0.99")] == 1.5


def test_a_class_that_had_no_task_yet_has_no_latency():
    found = read(exposition(busy()))
    of_low = [at for name, at in found if "latency" in name and ("class", "low") in at]
    assert of_low == []


def test_workers_faults_and_runs_are_told_too():
    found = read(exposition(busy()))
    assert found["lepton_worker_acknowledged", labelled(worker="tcp://127.0.0.1:1")] == 1
    assert found["lepton_worker_acknowledged", labelled(worker="tcp://127.0.0.1:2")] == 0
    assert found["lepton_faults_total", labelled(hook="transition")] == 2
    assert found["lepton_impossible_tasks", labelled()] == 1
    assert found["lepton_info", labelled(mode="shares", dask="2026.8.0")] == 1
    assert found["lepton_runs", labelled()] == 2


def test_every_metric_says_what_it_is():
    families = list(parser.text_string_to_metric_families(exposition(busy())))
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter"}
    assert all(family.name.startswith("lepton_") for family in families)


def test_names_with_quotes_backslashes_and_line_ends_come_back_as_they_were():
    status = busy()
    name = 'a "b" \\ c\nd'
    status["runs"] = [run_status(name, [0.5]), run_status(name, [0.25])]
    found = read(exposition(status))
    losses = {at: value for (metric, at), value in found.items() if metric == "lepton_run_loss"}
    assert losses == {labelled(run="1", name=name): 0.5, labelled(run="2", name=name): 0.25}


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_no_number_is_one_to_prometheus(loss):
    status = busy()
    status["runs"] = [run_status("diverged", [loss])]
    [found] = [
        value for (name, _), value in read(exposition(status)).items() if name == "lepton_run_loss"
    ]
    assert found == loss or (math.isnan(found) and math.isnan(loss))
