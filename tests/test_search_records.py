"""What a search shows while it runs, and what it leaves."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from rich.console import Console

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.cli.console import LiveConsole, PlainConsole
from lepton_dask.events import Event, SearchStarted, StepStarted, TrialEnded
from lepton_dask.learn.goal import Goal
from lepton_dask.run.search_outcome import Searched, TrialResult, best_of
from lepton_dask.run.search_records import search_plot, search_table

SVG = "{http://www.w3.org/2000/svg}"


def ended(trial: int, value: float, best: float, is_best: bool) -> TrialEnded:
    point = f"penalty.l2 0.{trial + 1}"
    return TrialEnded(
        "model", trial, 0, 4.0, 0.1, "rmse", value, "tolerance", is_best, best, point, trial + 1, 8
    )


HAPPENED: list[Event] = [
    StepStarted("model", "train"),
    SearchStarted("model", ("penalty.l2",), ("penalty.l2 0.5",), "book.json", 0),
    ended(0, 3.0, 3.0, is_best=True),
    ended(1, 4.0, 3.0, is_best=False),
    ended(2, 2.5, 2.5, is_best=True),
]


def shown(console: Console, listener_type: type[PlainConsole] | type[LiveConsole]) -> str:
    with listener_type(console, Redactor([])) as listener:
        for event in HAPPENED:
            listener(event)
        if isinstance(listener, LiveConsole):
            listener._progress.refresh()
    file = console.file
    assert isinstance(file, io.StringIO)
    return re.sub(r"\x1b\[[\d;?]*\w", "", file.getvalue())


def test_a_pipe_gets_a_line_for_each_new_best():
    text = shown(Console(file=io.StringIO(), width=80), PlainConsole)
    assert text.splitlines() == [
        "model: train ...",
        "model: searching penalty.l2, first where others won (book.json): penalty.l2 0.5",
        "model: best rmse 3 (penalty.l2 0.1) in 1/8 trials",
        "model: best rmse 2.5 (penalty.l2 0.3) in 3/8 trials",
    ]


def test_a_terminal_shows_the_best_so_far_live():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    text = shown(console, LiveConsole)
    assert "model: searching penalty.l2" in text
    assert "best rmse 2.5 (penalty.l2 0.3) in 3/8 trials" in text
    assert "model: best rmse" not in text  # in the bar alone


def result(trial: int, rung: int, value: float | None, status: str = "tolerance") -> TrialResult:
    point = {"penalty.l2": 0.1 * (trial + 1), "features": ("^x.*$", "age <1>")}
    return TrialResult(trial, rung, 4.0 * (rung + 1), 0.25, value, status, point)


RESULTS = (
    result(0, 0, 3.0, "max_passes"),
    result(1, 0, None, "diverged"),
    result(2, 0, 2.0, "max_passes"),
    result(2, 1, 2.25),
    result(0, 1, None, "stopped"),
)


def searched(goal: Goal | None = None) -> Searched:
    best = best_of(RESULTS, "rmse")
    assert best is not None
    return Searched("model", "rmse", goal, ("penalty.l2", "features"), RESULTS, best, "over")


def test_the_best_is_by_each_trials_last_result_whatever_was_stopped():
    assert searched().best == RESULTS[3]


def test_the_table_has_a_line_for_each_result_and_a_column_for_each_field():
    assert search_table(searched()).splitlines() == [
        "trial,rung,passes,seconds,metric,status,penalty.l2,features",
        '0,0,4,0.250000,3.0,max_passes,0.1,"[^x.*$, age <1>]"',
        '1,0,4,0.250000,,diverged,0.2,"[^x.*$, age <1>]"',
        '2,0,4,0.250000,2.0,max_passes,0.30000000000000004,"[^x.*$, age <1>]"',
        '2,1,8,0.250000,2.25,tolerance,0.30000000000000004,"[^x.*$, age <1>]"',
        '0,1,8,0.250000,,stopped,0.1,"[^x.*$, age <1>]"',
    ]


def test_the_plot_has_a_point_for_each_value_the_better_the_further_down_for_an_error():
    root = ElementTree.fromstring(search_plot(searched(Goal(metric="rmse", at_most=2.5))))
    points = root.findall(f"{SVG}circle")
    told = [point.findtext(f"{SVG}title") for point in points]
    assert [text.partition(":")[0] for text in told] == [
        "trial 0, rung 0",
        "trial 2, rung 0",
        "trial 2, rung 1",
    ]
    assert "age <1>" in told[0]
    heights = [float(point.get("cy")) for point in points]
    assert heights[1] > heights[2] > heights[0]  # 2.0, 2.25, 3.0; a picture counts from the top
    places = [float(point.get("cx")) for point in points]
    assert places == sorted(places)
    goal = [line for line in root.findall(f"{SVG}line") if line.get("stroke-dasharray")]
    assert len(goal) == 1


def test_a_missed_goal_is_told_with_what_was_reached():
    assert searched(Goal(metric="rmse", at_most=2.5)).missed is None
    missed = searched(Goal(metric="rmse", at_most=1.0)).missed
    assert missed == "model: rmse at most 1; the best of the search has 2.25"
