"""The loop of meta-learning: start, train, score held-out groups, adjust, until good enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lepton_dask.learn.meta.base import Setting
from lepton_dask.learn.meta.groups import AnyAlgorithm, Groups, drawn_seed
from lepton_dask.learn.stop import Stop

Code = Literal["goal", "patience", "converged", "max_rounds", "diverged"]


@dataclass(frozen=True)
class Rules:
    """When to stop: once the score is within `goal`, after `patience` rounds without a better one,
    or after `max_rounds`. Scores are errors: less is better."""

    patience: int
    max_rounds: int
    goal: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Round:
    """One round: its number from 0, the start; the held-out groups' score after it; the best so
    far; and the seconds since the beginning."""

    number: int
    score: float
    best: float
    seconds: float


@dataclass(frozen=True)
class Learnt:
    """What came out: the prior of the best round, its number, and how it went."""

    prior: Any
    best_round: int
    stopped: Stop[Code]
    history: tuple[Round, ...]


def meta_learn(
    algorithm: AnyAlgorithm,
    setting: Setting,
    groups: Groups,
    score: Callable[[Any], float],
    rules: Rules,
    *,
    start: Any = None,
    on_round: Callable[[Round], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Learnt:
    """Learns a prior from groups, at random from the seed or on from `start`.

    `score` says how far a prior's predictions for the held-out groups are off. `on_round` hears of
    every round; `check` is called before each and may raise to stop.
    """
    began = time.monotonic()
    prior = algorithm.start(setting, rules.seed) if start is None else start
    best, best_round, best_prior = score(prior), 0, prior
    history = [Round(0, best, best, time.monotonic() - began)]
    on_round(history[0])
    while True:
        check()
        before = prior
        prior = trained(algorithm, setting, groups, prior, len(history), rules.seed)
        found = score(prior)
        improved = found < best or not np.isfinite(best)
        if improved:
            best, best_round, best_prior = found, len(history), prior
        history.append(Round(len(history), found, best, time.monotonic() - began))
        on_round(history[-1])
        stopped = _stopped(history[-1], best_round, rules)
        if stopped is None and algorithm.has_converged(before, prior):
            stopped = Stop("converged", "another round would change nothing any more")
            best_round, best_prior = len(history) - 1, prior
        if stopped is not None:
            return Learnt(best_prior, best_round, stopped, tuple(history))
        prior = algorithm.adjust(prior, improved)


def trained(
    algorithm: AnyAlgorithm, setting: Setting, groups: Groups, prior: Any, number: int, seed: int
) -> Any:
    """The prior after the round of that number."""
    messages = groups.work(algorithm, setting, prior, drawn_seed(seed, number))
    return algorithm.combine(setting, prior, messages)


def _stopped(last: Round, best_round: int, rules: Rules) -> Stop[Code] | None:
    if not np.isfinite(last.score):
        return Stop("diverged", f"the held-out score of round {last.number} is not finite")
    if rules.goal is not None and last.score <= rules.goal:
        return Stop("goal", f"{last.score:.6g} is within the goal, {rules.goal:g}")
    if last.number - best_round >= rules.patience:
        return Stop(
            "patience",
            f"no better score than {last.best:.6g} (round {best_round}) in {rules.patience} rounds",
        )
    if last.number >= rules.max_rounds:
        return Stop("max_rounds", f"{last.number} rounds, as many as max_rounds allows")
    return None
