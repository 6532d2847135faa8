"""Searching penalties: 16 candidates together against one by one, and a portfolio of past winners.

Together and one by one, the data lies on the workers when the clock starts, and all fits end within
the same tolerance of the gradient; answers are compared. The portfolio is held to trials: how many
a search takes until one is within 1 % of the least error that any trial on the same folds has, with
the winners of all other tables to begin with and without. No table sees a winner of its own.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.ours_search import Fits, Paths, Searches
from benchmarks.problems import CENSUS_LEVELS, Problem

TOLERANCE = 1e-6
NEAR_ENOUGH = 1e-6
PENALTIES = tuple(float(l2) for l2 in np.logspace(-6, -1, 16))
FOLDED = tuple(float(l2) for l2 in np.logspace(-5, -2, 4))
SEPARATE, SHARED = "16 separate fits", "16 in lock step"

DATA = Path(__file__).parent.parent / "data"
SEEDS = range(3)
TRIALS = 24
NEAR = 0.01


def run(bench: Bench) -> None:
    problems = [
        (Problem("iid", bench.rows(500_000), 50), PENALTIES, 1),
        (Problem("corr", bench.rows(250_000), 100), FOLDED, 4),
        (Problem("wide", bench.rows(250_000), 10, CENSUS_LEVELS), PENALTIES, 1),
    ]
    for problem, penalties, folds in problems:
        of = f"{len(penalties)} penalties" + (f" x {folds} folds" if folds > 1 else "")
        with Aside(Paths, problem, penalties, folds) as paths:
            arms = [
                Arm(SEPARATE, lambda paths=paths: _run(paths.call("separate", TOLERANCE))),
                Arm(SHARED, lambda paths=paths: _run(paths.call("shared", TOLERANCE))),
            ]
            measured = bench.measure(Case(f"{problem}: {of}", arms, _agree))
        bench.bar(
            f"{problem.kind}: lock step / separate", measured.ratio(SHARED, SEPARATE), "<=", 1 / 3
        )
    _portfolio(bench)


def _run(fits: Fits) -> Run:
    return Run(fits.seconds, fits.objectives, {"passes": fits.passes})


def _agree(answers: Mapping[str, Any]) -> Mapping[str, str | None]:
    """Both end at the minimum: no objective lies lower in one than in the other by more than what
    the tolerance leaves open."""
    one, other = answers[SEPARATE], answers[SHARED]
    apart = float(np.max(np.abs(one - other) / one))
    return {SEPARATE: None, SHARED: None if apart < NEAR_ENOUGH else f"{apart:.2g} apart"}


def _portfolio(bench: Bench) -> None:
    """The table of trials, and the bar: fewer with the portfolio, over all tables."""
    seeds = list(SEEDS)[: max(1, round(len(SEEDS) * min(1.0, bench.scale)))]
    tables = shipped()
    counts: dict[str, dict[bool, list[int]]] = {}
    with Aside(Searches) as searches:
        winners = {
            name: searches.call("remember", steps, 100, TRIALS) for name, steps in tables.items()
        }
        for name, steps in tables.items():
            others = [entry for other, entry in winners.items() if other != name]
            book = json.dumps({"searches": others})
            counts[name] = {False: [], True: []}
            for seed in seeds:
                # One seed deals the same folds: values of another are not to be compared.
                without = searches.call("search", steps, seed, None, TRIALS)
                with_it = searches.call("search", steps, seed, book, TRIALS)
                best = min(*without, *with_it)
                counts[name][False].append(_until(without, best))
                counts[name][True].append(_until(with_it, best))
    bench.say(f"trials until within 1 % of the best, mean over {len(seeds)} seeds")
    bench.say(f"  {'table held out':<18}{'metric':>10}{'without':>10}{'with':>10}")
    for name, both in counts.items():
        metric = tables[name]["model"]["train"]["search"]["metric"]
        shows = "".join(f"{statistics.mean(both[each]):>10.1f}" for each in (False, True))
        bench.say(f"  {name:<18}{metric:>10}{shows}")
    means = {
        each: statistics.mean(count for both in counts.values() for count in both[each])
        for each in (False, True)
    }
    bench.say(f"  {'mean of all':<28}{means[False]:>10.1f}{means[True]:>10.1f}")
    bench.bar("trials with the portfolio / without", means[True] / means[False], "<=", 1)


def _until(values: Sequence[float], best: float) -> int:
    """The number of the first trial whose error is within NEAR of the best, one more than there
    are where none is."""
    near = (number for number, value in enumerate(values, 1) if value <= best * (1 + NEAR))
    return next(near, len(values) + 1)


def shipped() -> dict[str, dict[str, Any]]:
    """The steps of a search for each shipped table. Folds score it, so that small tables' scores
    are not those of a few rows."""
    return {
        "adult": {
            "rows": {"read": {"path": str(DATA / "adult/adult.parquet"), "missing_values": ["?"]}},
            "features": {
                "prepare": {
                    "target": {"column": "income", "positive": ">50K"},
                    "exclude": ["fnlwgt", "education"],
                }
            },
            "model": _model("logistic", "log_loss"),
        },
        "breast_cancer": {
            "rows": {
                "read": {
                    "path": str(DATA / "breast_cancer/breast_cancer.csv"),
                    "header": False,
                    "skip_rows": 1,
                }
            },
            "features": {"prepare": {"target": {"column": -1, "positive": 0}}},
            "model": _model("logistic", "log_loss"),
        },
        "citylearn": {
            "rows": {
                "read": {
                    "path": str(DATA / "citylearn_17homes/Building_{home}.csv"),
                    "row_number": "t",
                    "columns": [
                        "Month",
                        "Hour",
                        "Day Type",
                        "Equipment Electric Power [kWh]",
                        "Solar Generation [W/kW]",
                    ],
                }
            },
            "lags": {
                "derive": {
                    "group": "home",
                    "order": "t",
                    "columns": {"yesterday": 'lag("Equipment Electric Power [kWh]", 24)'},
                }
            },
            "features": {
                "prepare": {
                    "target": "Equipment Electric Power [kWh]",
                    "exclude": ["t"],
                    "columns": {"Hour": {"as": "category"}, "Day Type": {"as": "category"}},
                }
            },
            "model": _model("squared", "rmse"),
        },
        "modeldata_debian": {
            "rows": {
                "read": {
                    "path": str(DATA / "modeldata_debian/credit_data.csv"),
                    "missing_values": ["NA"],
                }
            },
            "features": {"prepare": {"target": {"column": "Status", "positive": "bad"}}},
            "model": _model("logistic", "log_loss"),
        },
        "pd_speech": {
            "rows": {"read": {"path": str(DATA / "modeldata_debian/pd_speech.parquet")}},
            "features": {"prepare": {"target": {"column": "class", "positive": "PD"}}},
            "model": _model("logistic", "log_loss"),
        },
        "traffic_i94": {
            "hours": {
                "read": {"path": str(DATA / "traffic_i94/traffic_hourly.zip"), "format": "csv"}
            },
            "calendar": {
                "derive": {"columns": {"hour_of_week": "24 * weekday(datetime) + hour(datetime)"}}
            },
            "features": {
                "prepare": {
                    "target": "traffic_volume",
                    "exclude": ["datetime"],
                    "columns": {"hour_of_week": {"as": "category"}},
                }
            },
            "model": _model("squared", "rmse"),
        },
    }


def _model(loss: str, metric: str) -> dict[str, Any]:
    space = {"penalty.l2": {"log": [1e-7, 100.0]}}
    return {"train": {"loss": loss, "search": {"space": space, "metric": metric, "folds": 5}}}
