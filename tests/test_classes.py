"""Priority classes: the level of a task, and the share of a class."""

from __future__ import annotations

import base64
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cloudpickle
import pytest
from class_shares import MANY
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.config.load import load_config
from lepton_dask.config.pipeline import Priority
from lepton_dask.errors import UserError
from lepton_dask.resources import allocate as allocate_module
from lepton_dask.resources import classes as classes_module
from lepton_dask.resources import serve as serve_module
from lepton_dask.resources.classes import (
    AGEING_S,
    DEFAULT_CLASSES,
    Classes,
    ClassShare,
    aged,
    base_level,
    classify,
    deadline_level,
    level_number,
    slack,
)

LEVEL = st.sampled_from(["low", "normal", "high", "critical"]) | st.integers(1, 9)
SECONDS = st.floats(-1e6, 1e9)
WAITED = st.floats(0, 1e7)

# --- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["low", "normal", "high", "critical"])
def test_a_word_is_its_own_class(level):
    assert classify(level).name == level


def test_numbers_from_one_to_nine_never_lower_the_class():
    order = [classify(level).dask_priority for level in range(1, 10)]
    assert order == sorted(order)
    assert {classify(level).name for level in range(1, 10)} == {"low", "normal", "high", "critical"}


def test_what_is_urgent_goes_before_what_is_only_important():
    assert classify("low", urgency="critical") == classify("critical")
    assert classify("high", urgency="low") == classify("high")


def test_normal_is_what_dask_gives_to_everybody():
    assert classify("normal").dask_priority == 0


@pytest.mark.parametrize("level", [0, 10, -1, "urgent", "", 5.0, None])
def test_what_is_no_level_is_an_error(level):
    with pytest.raises(
        ValueError, match="is no level; write low, normal, high, critical or 1 to 9"
    ):
        level_number(level)


@pytest.mark.parametrize(
    ("slack_s", "name"),
    [
        (-5, "critical"),
        (0, "critical"),
        (1, "critical"),
        (1.5, "high"),
        (16, "high"),
        (17, "normal"),
        (4 * 60, "normal"),
        (5 * 60, "low"),
        (10**9, "low"),
        (float("inf"), "low"),
    ],
)
def test_a_deadline_becomes_urgent_as_its_slack_shrinks(slack_s, name):
    assert classify("low", slack_s=slack_s).name == name


@MANY
@given(SECONDS, SECONDS)
def test_less_slack_is_never_less_urgent(one, other):
    less, more = sorted((one, other))
    assert deadline_level(less) >= deadline_level(more)
    assert 1 <= deadline_level(one) <= 9


def test_slack_is_what_is_left_beside_the_work():
    assert slack(deadline=100, now=40, work_s=20) == 40
    assert slack(deadline=100, now=101) == -1


def test_a_slack_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="not a number"):
        classify("low", slack_s=float("nan"))


@MANY
@given(LEVEL, LEVEL, SECONDS)
def test_the_level_is_the_highest_of_importance_urgency_and_deadline(importance, urgency, slack_s):
    parts = [level_number(importance), level_number(urgency), deadline_level(slack_s)]
    assert base_level(importance, urgency, slack_s) == max(parts)


@MANY
@given(LEVEL, WAITED, WAITED)
def test_waiting_never_lowers_a_class(level, one, other):
    less, more = sorted((one, other))
    before, after = (classify(level, waited_s=waited).dask_priority for waited in (less, more))
    assert classify(level).dask_priority <= before <= after


@MANY
@given(LEVEL, WAITED)
def test_waiting_alone_makes_nothing_critical(level, waited):
    is_critical = classify(level).name == "critical"
    assert (classify(level, waited_s=waited).name == "critical") == is_critical


@MANY
@given(st.floats(1, 9), st.floats(1, 9), st.floats(0, 1e6))
def test_what_waits_is_overtaken_by_nothing_that_comes_much_later(first, second, now):
    """So nothing waits for ever, however many critical tasks keep coming."""
    assert aged(first, now + 8 * AGEING_S + 1) > aged(second, now)


def test_a_clock_that_went_back_makes_nothing_younger():
    assert aged(5, -100) == 5


# --- shares --------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_configuration_that_ships():
    assert load_config(REPOSITORY / "configs" / "local.yaml").config.classes == DEFAULT_CLASSES
    assert load_config(None).config.classes == DEFAULT_CLASSES


def test_a_class_that_is_not_named_keeps_its_default(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("priorities: {high: {weight: 6, maximum: 0.5}}")
    found = load_config(tmp_path / "c.yaml").config.classes
    high = ClassShare("high", weight=6, maximum=0.5)
    assert found == DEFAULT_CLASSES.with_shares([high])
    assert [share.name for share in found] == ["critical", "high", "normal", "low"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{high: {reserve: 0.6, maximum: 0.5}}",
            [
                "1:20: high: reserve 0.6 is above maximum 0.5; "
                "lower the reserve or raise the maximum",
            ],
        ),
        (
            "{high: {minimum: 0.6, maximum: 0.5}, low: {reserve: 1, maximum: .9}}",
            [
                "1:20: high: minimum 0.6 is above maximum 0.5; "
                "lower the minimum or raise the maximum",
                "1:55: low: reserve 1.0 is above maximum 0.9; "
                "lower the reserve or raise the maximum",
            ],
        ),
        (
            "{high: {reserve: 0.75}}",
            [
                "1:13: priorities: reserves and minima add up to 1.05 (critical 0.25, high 0.75, "
                "low 0.05); they may add up to 1; a class that is not named here keeps its default"
            ],
        ),
        (
            "{critical: {}, normal: {minimum: 0.6}, low: {minimum: 0.5}}",
            [
                "1:13: priorities: reserves and minima add up to 1.1 (normal 0.6, low 0.5); "
                "they may add up to 1; a class that is not named here keeps its default"
            ],
        ),
        (
            "{high: {weight: 0}, low: {reserve: 2, maximum: 0}}",
            [
                "1:29: weight: must be greater than 0, found 0",
                "1:48: reserve: must be at most 1, found 2",
                "1:60: maximum: must be greater than 0, found 0",
            ],
        ),
    ],
)
def test_shares_that_cannot_be_kept_are_refused_in_the_configuration(text, told, tmp_path: Path):
    (tmp_path / "c.yaml").write_text(f"priorities: {text}")
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "c.yaml")
    assert [str(each).removeprefix(f"{tmp_path}/c.yaml:") for each in caught.value.mistakes] == told


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"weight": 0}, "weight 0 is not"),
        ({"weight": float("inf")}, "weight inf is not"),
        ({"weight": float("nan")}, "weight nan is not"),
        ({"reserve": -0.1}, "reserve -0.1 is not within"),
        ({"minimum": 1.1}, "minimum 1.1 is not within"),
        ({"maximum": 0}, "maximum 0 is not"),
        ({"maximum": 0.2, "reserve": 0.3}, "reserve 0.3 is above maximum 0.2"),
    ],
)
def test_a_share_out_of_range_is_an_error(figures, told):
    with pytest.raises(ValueError, match=told):
        ClassShare("a", **figures)


def test_decimal_guarantees_that_fill_the_cluster_are_not_too_much():
    """In floats 0.33 + 0.56 + 0.11 make 1.0000000000000002."""
    shares = tuple(
        ClassShare(name, reserve=share) for name, share in (("a", 0.33), ("b", 0.56), ("c", 0.11))
    )
    full = Classes(shares)
    assert sum(full.guarantees) == full.scale
    with pytest.raises(ValueError, match="add up to 1"):
        Classes((*shares, ClassShare("d", minimum=Fraction(1, 10**9))))


def test_classes_of_one_name_and_shares_of_none_are_errors():
    with pytest.raises(ValueError, match="twice"):
        Classes((ClassShare("a"), ClassShare("a")))
    with pytest.raises(ValueError, match="no class b"):
        DEFAULT_CLASSES.with_shares([ClassShare("b")])


def test_the_levels_of_a_pipeline_are_levels():
    for level in ("low", "normal", "high", "critical", *range(1, 10)):
        assert level_number(Priority(importance=level).importance) in range(1, 10)


# --- travelling ----------------------------------------------------------------------------------


def test_the_core_travels_by_value_to_a_process_without_this_package():
    modules = (classes_module, allocate_module, serve_module)

    def work() -> tuple[object, ...]:
        shares = classes_module.DEFAULT_CLASSES
        wanted = dict.fromkeys(shares.names, 100)
        return (
            classes_module.classify("low", slack_s=2).name,
            allocate_module.allocate_units(shares, wanted, 100),
            allocate_module.allocate_tasks(
                shares, {"high": allocate_module.TaskDemand(9, {"a": 1})}, {"a": 5}
            ),
            serve_module.serve([], Fraction(1)),
        )

    for module in (*modules, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)
    try:
        sent = base64.b64encode(cloudpickle.dumps(work)).decode()
    finally:
        for module in (*modules, sys.modules[__name__]):
            cloudpickle.unregister_pickle_by_value(module)
    code = f"""
import base64, pickle, sys
sys.modules["lepton_dask"] = None
print(pickle.loads(base64.b64decode("{sent}"))())
imported = {{name.partition(".")[0] for name, module in sys.modules.items() if module}}
assert not imported & {{"lepton_dask", "numpy", "pydantic", "dask"}}, imported
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == str(work())
