"""How many lanes a worker gives a class, and which class a task belongs to."""

from __future__ import annotations

import pytest

from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ClassShare
from lepton_dask.resources.identify import Declared, Rules, declared, higher
from lepton_dask.resources.lanes import lanes, restricted


def test_a_class_has_a_lane_a_slot_and_critical_work_one_more() -> None:
    found = lanes(DEFAULT_CLASSES, {"a": 2, "b": 1}, 1)
    assert found["a"] == {
        "lepton-critical": 3,
        "lepton-high": 2,
        "lepton-normal": 2,
        "lepton-low": 2,
    }
    assert found["b"]["lepton-critical"] == 2


@pytest.mark.parametrize(("maximum", "total"), [(0.5, 3), (0.34, 2), (0.01, 1)])
def test_a_maximum_is_kept_over_all_workers_and_leaves_one_lane_at_least(
    maximum: float, total: int
) -> None:
    classes = Classes((ClassShare("critical"), ClassShare("low", maximum=maximum)))
    found = lanes(classes, {"a": 4, "b": 1, "c": 1}, 1)
    assert sum(worker["lepton-low"] for worker in found.values()) == total
    assert all(
        found[name]["lepton-low"] <= slots for name, slots in {"a": 4, "b": 1, "c": 1}.items()
    )


def test_only_critical_work_and_classes_with_a_maximum_are_restricted() -> None:
    assert restricted(DEFAULT_CLASSES) == {"critical"}
    classes = Classes((ClassShare("critical"), ClassShare("low", maximum=0.5)))
    assert restricted(classes) == {"critical", "low"}


@pytest.mark.parametrize(
    ("annotations", "resources", "dask_priority", "name"),
    [
        ({"lepton": {"importance": "high"}}, None, 0, "high"),
        ({"lepton": {"importance": "low", "urgency": 9}}, None, -10, "critical"),
        ({"lepton": {"importance": "normal", "deadline_s": 0.5}}, None, 0, "critical"),
        ({"lepton": {"importance": "normal", "deadline_s": 1e6}}, None, 0, "normal"),
        (None, {"lepton-low": 1}, 0, "low"),
        (None, {"GPU": 1}, 25, "critical"),
        (None, None, 10, "high"),
        (None, None, 1, "normal"),
        (None, None, -1, "low"),
    ],
)
def test_a_task_says_its_class(
    annotations: dict[str, object] | None,
    resources: dict[str, float] | None,
    dask_priority: float,
    name: str,
) -> None:
    said = declared(annotations, resources, dask_priority, now=100.0)
    assert said is not None
    assert said.name(100.0) == name


def test_a_task_that_says_nothing_goes_by_the_longest_prefix_then_the_client() -> None:
    assert declared({"span": 1}, {"GPU": 1}, 0, 0.0) is None
    rules = Rules("normal", {"me": "low"}, {"load": "high", "load-all": "critical"})
    assert rules.find("load-all-1", "me") == "critical"
    assert rules.find("load-1", "me") == "high"
    assert rules.find("sum-1", "me") == "low"
    assert rules.find("sum-1", "you") == "normal"


def test_a_deadline_makes_a_task_more_urgent_as_it_comes_near() -> None:
    said = Declared("low", deadline=1000.0)
    assert [said.name(now) for now in (0.0, 900.0, 990.0, 999.5)] == [
        "low",
        "normal",
        "high",
        "critical",
    ]


def test_waiting_makes_a_task_higher_but_never_critical() -> None:
    assert Declared("low").name(0.0, waited_s=1e9) == "high"


def test_the_higher_of_two_classes() -> None:
    assert higher("low", "high") == "high"
    assert higher("critical", "normal") == "critical"
