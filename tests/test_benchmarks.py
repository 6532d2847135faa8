"""The benchmarks' harness, by a toy: what it writes, prints and holds back. Nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import harness, search
from benchmarks import priority as priorities
from benchmarks.harness import Agree, Arm, Bench, Case, Measured, Row, Run
from benchmarks.priority_cluster import rest, slot_use
from benchmarks.priority_pipelines import ALONE, SHARED, equal, pipelines
from benchmarks.priority_shares import slowest


def _arm(name: str, seconds: float, answer: int = 42) -> Arm:
    return Arm(name, lambda: Run(seconds, answer, {"passes": 3, "data": "memory"}))


def _all_42(answers):  # type: ignore[no-untyped-def]
    return {name: None if each == 42 else f"it says {each}" for name, each in answers.items()}


def _toy(tmp_path: Path, arms: list[Arm], agree: Agree = _all_42) -> tuple[dict, list[str]]:
    said: list[str] = []
    bench = Bench("toy", 0.5, results=tmp_path, say=said.append)
    measured = bench.measure(Case("sums", arms, agree))
    bench.bar("peer / ours", measured.ratio("peer", "ours"), ">=", 2.0)
    bench.bar("ours / peer", measured.ratio("ours", "peer"), "<=", 0.25)
    return json.loads(bench.finish().read_text()), said


def test_results_have_exactly_the_documented_keys(tmp_path: Path) -> None:
    written, _ = _toy(tmp_path, [_arm("ours", 1.0), _arm("peer", 3.0)])
    assert list(written) == ["name", "scale", "machine", "versions", "cases", "bars"]
    assert (written["name"], written["scale"]) == ("toy", 0.5)
    assert written["cases"][1] == {
        "case": "sums",
        "arm": "peer",
        "seconds": [3.0, 3.0, 3.0],
        "values": {"passes": 3, "data": "memory"},
        "agrees": True,
    }
    assert written["bars"][0] == {
        "id": "peer / ours",
        "value": 3.0,
        "op": ">=",
        "bar": 2.0,
        "holds": True,
    }


def test_a_bar_holds_by_its_own_operator(tmp_path: Path) -> None:
    written, said = _toy(tmp_path, [_arm("ours", 1.0), _arm("peer", 3.0)])
    assert [bar["holds"] for bar in written["bars"]] == [True, False]
    assert any("does NOT hold" in line for line in said)


def test_arms_that_disagree_get_no_times_and_no_bars(tmp_path: Path) -> None:
    written, said = _toy(tmp_path, [_arm("ours", 1.25), _arm("peer", 3.75, answer=41)])
    assert [case["seconds"] for case in written["cases"]] == [[], []]
    assert [case["agrees"] for case in written["cases"]] == [True, False]
    assert [bar["holds"] for bar in written["bars"]] == [None, None]
    assert "sums: peer: it says 41" in said
    assert "1.25" not in "\n".join(said)
    assert "3.75" not in "\n".join(said)


def test_an_answer_that_goes_wrong_in_a_later_turn_takes_the_times_back(tmp_path: Path) -> None:
    answers = iter([42, 42, 41])
    peer = Arm("peer", lambda: Run(3.0, next(answers)))
    written, _ = _toy(tmp_path, [_arm("ours", 1.0), peer])
    assert [case["agrees"] for case in written["cases"]] == [True, False]
    assert written["cases"][0]["seconds"] == []


def test_a_missing_peer_is_told_in_one_line_and_left_out(tmp_path: Path) -> None:
    written, said = _toy(tmp_path, [_arm("ours", 1.0), Arm("peer", missing="glum")])
    assert "sums: peer is left out: glum is not installed" in said
    assert written["cases"][1] == {
        "case": "sums",
        "arm": "peer",
        "seconds": [],
        "values": {},
        "agrees": None,
    }
    assert written["bars"][0]["holds"] is None


@pytest.mark.parametrize("turn", [0, 2])
def test_an_arm_that_raises_is_written_as_failed_and_the_others_go_on(
    turn: int, tmp_path: Path
) -> None:
    answers = iter([42] * turn)
    peer = Arm("peer", lambda: Run(3.0, 84 // (2 if next(answers, None) else 0)))
    written, said = _toy(tmp_path, [_arm("ours", 1.0), peer])
    assert "sums: peer failed: ZeroDivisionError: integer division or modulo by zero" in said
    assert written["cases"][0]["seconds"] == [1.0, 1.0, 1.0]
    assert written["cases"][0]["agrees"] is True
    assert written["cases"][1] == {
        "case": "sums",
        "arm": "peer",
        "seconds": [],
        "values": {"failed": "ZeroDivisionError: integer division or modulo by zero"},
        "agrees": None,
    }
    assert [bar["holds"] for bar in written["bars"]] == [None, None]


def test_without_the_arm_that_others_are_compared_with_nothing_agrees(tmp_path: Path) -> None:
    def as_ours(answers):  # type: ignore[no-untyped-def]
        return {name: None if each == answers["ours"] else "no" for name, each in answers.items()}

    ours = Arm("ours", lambda: Run(1.0, 1 // 0))
    written, _ = _toy(tmp_path, [ours, _arm("peer", 3.0)], as_ours)
    assert [case["agrees"] for case in written["cases"]] == [None, None]
    assert written["cases"][1]["seconds"] == [3.0, 3.0, 3.0]


def test_arms_run_in_turn_after_a_warm_run(tmp_path: Path) -> None:
    order: list[str] = []

    def arm(name: str) -> Arm:
        def run() -> Run:
            order.append(name)
            return Run(1.0, 42)

        return Arm(name, run)

    _toy(tmp_path, [arm("ours"), arm("peer")])
    assert order == ["ours", "peer"] * (1 + harness.REPEATS)


def test_without_a_name_the_command_lists_every_benchmark(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(command.NAMES)


@pytest.mark.parametrize("bar", [0.0, 9.0])
def test_the_command_exits_with_0_whether_or_not_bars_hold(
    bar: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Toy:
        @staticmethod
        def run(bench: Bench) -> None:
            bench.bar("toy", 1.0, ">=", bar)

    monkeypatch.setattr(command, "import_module", lambda _: Toy)
    monkeypatch.setattr(harness.Bench.__init__, "__kwdefaults__", _defaults(tmp_path))
    assert command.main(["passes", "--scale", "0.01"]) == 0
    written = json.loads((tmp_path / "passes.json").read_text())
    assert written["bars"][0]["holds"] is (bar < 1)


def _defaults(results: Path) -> dict[str, object]:
    return (harness.Bench.__init__.__kwdefaults__ or {}) | {"results": results}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["speed"])


def test_slot_use_counts_a_slot_once_and_only_within_the_window() -> None:
    ran = [("a", "one", 0.0, 4.0), ("b", "one", 1.0, 3.0), ("c", "two", 3.0, 9.0)]
    # Of one slot each: all of 2 to 4, and the second half of it.
    assert slot_use(ran, {"one": 1, "two": 1}, 2.0, 4.0) == pytest.approx(3 / 4)
    assert slot_use(ran, {"one": 2, "two": 1}, 2.0, 4.0) == pytest.approx(4 / 6)
    assert slot_use([], {"one": 1}, 0.0, 1.0) == 0.0


def test_shares_are_late_by_the_last_wrong_look_before_the_next_change() -> None:
    looks = [(0.5, True), (1.1, False), (1.4, True), (2.5, False), (3.0, False), (3.2, True)]
    assert slowest([1.0, 2.0], looks) == pytest.approx(1.2)
    assert slowest([1.0], looks[:3]) == pytest.approx(0.4)
    assert slowest([], looks) == 0.0


def test_every_arm_has_the_same_arrivals_and_bulk_that_outlasts_them() -> None:
    sized = (priorities.CRITICAL_S, priorities.BACKLOG)
    one, two = (
        priorities.Load("sleeping", (2, 2), rest, 0.02, 0.25, 500, *sized) for _ in range(2)
    )
    assert one.arrivals == two.arrivals
    assert len(one.arrivals) == 500
    work = one.bulk * priorities.BULK_S + one.criticals * priorities.CRITICAL_S
    assert work > 4 * one.arrivals[-1]


@pytest.mark.cluster
def test_critical_tasks_among_bulk_at_a_tiny_scale() -> None:
    load = priorities.Load("sleeping", (1, 1), rest, 0.005, 0.05, criticals=25)
    arms = (priorities.UNLOADED, priorities.PLAIN, priorities.PLUGIN)
    runs = {arm: priorities.measured(load, arm) for arm in arms}
    verdicts = priorities.agree(load, {arm: run.answer for arm, run in runs.items()})
    assert verdicts == dict.fromkeys(arms)
    values = runs[priorities.PLUGIN].values
    assert 0 < values["slot use"] <= 1
    assert values["p99, s"] >= runs[priorities.PLUGIN].seconds > 0


@pytest.mark.parametrize(("lasts", "holds"), [(0.5, True), (-0.5, None)])
def test_bulk_that_ends_too_soon_measures_nothing(
    lasts: float, holds: bool | None, tmp_path: Path
) -> None:
    bench = Bench("priority", 1.0, results=tmp_path, say=lambda _: None)
    load = priorities.Load("CPU, GIL released", (1, 1), rest, 0.02, 0.25, criticals=25)
    values = {"bulk outlasts arrivals, s": lasts, "bulk lost": 0.0, "bulk alone": 0.0}
    rows = [Row("", priorities.UNLOADED, (1.0,), {}, True)]
    rows.append(Row("", priorities.PLUGIN, (2.0,), values, True))
    priorities.judged(bench, load, Measured(rows))
    outlasts, *others = json.loads(bench.finish().read_text())["bars"]
    assert outlasts["holds"] is (lasts >= 0)
    assert [bar["holds"] for bar in others] == [holds] * 3


def test_models_are_equal_to_the_last_bit_or_the_one_that_differs_is_named() -> None:
    alone = (b"critical", b"low")
    assert equal({ALONE: alone, SHARED: alone}) == {ALONE: None, SHARED: None}
    wrong = equal({ALONE: alone, SHARED: (b"critical", b"lower")})
    assert wrong == {ALONE: None, SHARED: "another low model than alone"}


@pytest.mark.cluster
def test_two_pipelines_on_one_cluster_at_a_tiny_scale(tmp_path: Path) -> None:
    bench = Bench("priority", 0.01, repeats=1, results=tmp_path, say=lambda _: None)
    pipelines(bench)
    written = json.loads(bench.finish().read_text())
    assert [row["agrees"] for row in written["cases"]] == [True, True]
    assert written["bars"][0]["holds"]


def test_trials_are_counted_until_one_is_within_a_hundredth_of_the_least_error() -> None:
    assert search._until([3.0, 1.5, 1.009, 1.0], 1.0) == 3
    assert search._until([1.2, 1.1], 1.0) == 3


def test_the_portfolio_is_held_to_every_table_that_ships() -> None:
    paths = [
        steps[next(iter(steps))]["read"]["path"].replace("{home}", "1")
        for steps in search.shipped().values()
    ]
    assert all(Path(path).exists() for path in paths)
    folders = {Path(path).parent.name for path in paths}
    assert folders == {path.name for path in search.DATA.iterdir()}


def test_fits_one_by_one_and_in_lock_step_are_compared_by_their_objectives() -> None:
    answers = {search.SEPARATE: np.array([0.5, 0.25]), search.SHARED: np.array([0.5, 0.25])}
    assert search._agree(answers) == dict.fromkeys(answers)
    answers[search.SHARED] = np.array([0.5, 0.26])
    assert search._agree(answers)[search.SHARED] == "0.04 apart"
