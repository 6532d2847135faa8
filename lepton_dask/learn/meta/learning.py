"""From groups to the model that is kept: the algorithm's, or a baseline's where that is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lepton_dask.learn.meta.base import GroupedRows, Setting
from lepton_dask.learn.meta.choice import BASELINES
from lepton_dask.learn.meta.comparison import Candidate, Comparison, best, compare, draw, score
from lepton_dask.learn.meta.groups import AnyAlgorithm, Groups
from lepton_dask.learn.meta.loop import Learnt, Round, Rules, meta_learn, trained


@dataclass(frozen=True)
class MetaFit:
    """What was learnt: how the algorithm learnt, and its `own` prior; what it and the baselines are
    worth on held-out groups; and the one of them that is `kept`, with its prior."""

    learnt: Learnt
    own: Any
    comparison: Comparison
    kept: AnyAlgorithm
    prior: Any


def learn_from_groups(
    algorithm: AnyAlgorithm,
    setting: Setting,
    training: Groups,
    everything: Groups | None,
    held_out: GroupedRows,
    rules: Rules,
    *,
    units: float = 1.0,
    start: Any = None,
    on_round: Callable[[Round], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> MetaFit:
    """Learns from the `training` groups until the `held_out` ones say to stop, compares with the
    baselines, and keeps the best. Scores are told, and held against the goal, in units
    of the target itself: `units` times what they are of the reduced one.

    What is kept is learnt once more from `everything`, the held-out groups among the others, where
    that is given and the algorithm's rounds are cheap enough (`refits`).
    """

    trials = draw(setting, held_out, rules.seed)

    def error(prior: Any) -> float:
        return score(algorithm, prior, setting, trials) * units

    learnt = meta_learn(
        algorithm, setting, training, error, rules, start=start, on_round=on_round, check=check
    )
    candidates = [Candidate(algorithm.name, algorithm, learnt.prior)]
    candidates += [
        Candidate(each.name, each, settled(each, setting, training, None, rules, check))
        for each in BASELINES
    ]
    comparison = compare(candidates, setting, trials, rules.seed).times(units)
    name = best(comparison)
    kept = next(each for each in candidates if each.name == name)

    def finished(each: Candidate) -> Any:
        if everything is None or not each.algorithm.refits:
            return each.prior
        return settled(each.algorithm, setting, everything, each.prior, rules, check)

    own = finished(candidates[0])
    prior = own if kept is candidates[0] else finished(kept)
    return MetaFit(learnt, own, comparison, kept.algorithm, prior)


def settled(
    algorithm: AnyAlgorithm,
    setting: Setting,
    groups: Groups,
    start: Any,
    rules: Rules,
    check: Callable[[], None],
) -> Any:
    """The prior after rounds without a score, until another would change nothing any more."""
    prior = algorithm.start(setting, rules.seed) if start is None else start
    for number in range(1, rules.max_rounds + 1):
        check()
        before, prior = prior, trained(algorithm, setting, groups, prior, number, rules.seed)
        if algorithm.has_converged(before, prior):
            break
    return prior
