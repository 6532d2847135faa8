"""The loop of meta-learning: what it does in which order, and what ends it."""

from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest

from lepton_dask.learn.meta.groups import LocalGroups
from lepton_dask.learn.meta.loop import Rules, meta_learn


@dataclass(frozen=True)
class Steps:
    """An algorithm whose prior counts its rounds; `messages` are the seeds that its parts drew."""

    settles_at: int = 10**9

    def start(self, *_):
        return 0

    def keep(self, _, rows):
        return rows

    def work(self, *given):
        return given[-1]

    def combine(self, _, prior, *messages):  # noqa: ARG002 - for overrides
        return prior + 1

    def adjust(self, prior, _):
        return prior

    def has_converged(self, _, after):
        return after >= self.settles_at


def learn(errors, *, algorithm=None, **rules):
    """`errors[k]` is the held-out score after k rounds; the last one stays."""
    rules = {"patience": 3, "max_rounds": 100} | rules
    return meta_learn(
        algorithm or Steps(),
        None,
        LocalGroups((None, None)),
        lambda prior: errors[min(prior, len(errors) - 1)],
        Rules(**rules),
    )


def test_ends_with_the_first_round_within_the_goal_and_keeps_it():
    learnt = learn([9, 5, 3, 1, 0], goal=3.5)
    assert (learnt.stopped.code, learnt.prior, learnt.best_round) == ("goal", 2, 2)
    assert "3.5" in learnt.stopped.reason


def test_ends_when_patience_is_over_and_keeps_the_best_round():
    learnt = learn([9, 5, 3, 4, 4, 4, 1], patience=3)
    assert (learnt.stopped.code, learnt.prior) == ("patience", 2)
    assert [each.score for each in learnt.history] == [9, 5, 3, 4, 4, 4]
    assert [each.best for each in learnt.history] == [9, 5, 3, 3, 3, 3]


def test_ends_after_max_rounds():
    learnt = learn(range(100, 0, -1), max_rounds=4)
    assert (learnt.stopped.code, learnt.prior, len(learnt.history)) == ("max_rounds", 4, 5)


def test_ends_when_a_round_changes_nothing_and_keeps_that_round():
    learnt = learn([9, 1, 2, 2], algorithm=Steps(settles_at=3), patience=50)
    assert (learnt.stopped.code, learnt.prior) == ("converged", 3)


def test_a_score_that_is_not_finite_is_divergence():
    learnt = learn([9, 5, np.nan])
    assert (learnt.stopped.code, learnt.prior) == ("diverged", 1)


def test_goes_on_from_a_prior_that_is_given():
    learnt = meta_learn(
        Steps(), None, LocalGroups(()), lambda prior: 10 - prior, Rules(3, 2), start=5
    )
    assert [each.score for each in learnt.history] == [5, 4, 3]


def test_every_part_of_every_round_draws_from_a_seed_of_its_own():
    drawn = []

    class Drawing(Steps):
        def combine(self, _, prior, messages):
            drawn.extend(messages)
            return prior + 1

    learn([1], algorithm=Drawing(), max_rounds=3, patience=9)
    first = list(drawn)
    assert len(set(first)) == 6
    learn([1], algorithm=Drawing(), max_rounds=3, patience=9)
    assert drawn[6:] == first
    learn([1], algorithm=Drawing(), max_rounds=3, patience=9, seed=1)
    assert not set(drawn[12:]) & set(first)


def test_the_check_comes_before_each_round_and_may_end_it():
    rounds = count()

    def check():
        if next(rounds) == 2:
            raise KeyboardInterrupt

    told = []
    with pytest.raises(KeyboardInterrupt):
        meta_learn(
            Steps(),
            None,
            LocalGroups(()),
            lambda _: 1.0,
            Rules(9, 9),
            on_round=told.append,
            check=check,
        )
    assert [each.number for each in told] == [0, 1, 2]
