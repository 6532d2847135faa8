"""Successive halving as results come, against sequences worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lepton_dask.learn.search.asha import Asha, Job, Result, ask, resumed, tell


def begun(trials: int, rungs: int = 3, factor: int = 3, rises: bool = True) -> Asha:
    return Asha(rungs=rungs, factor=factor, trials=trials, rises=rises)


def walked(state: Asha, values: dict[tuple[int, int], float | None]) -> list[tuple[int, int]]:
    """The jobs in their order, one at a time."""
    jobs = []
    while True:
        state, job = ask(state)
        if job is None:
            return jobs
        jobs.append((job.trial, job.rung))
        state = tell(state, job, values[job.trial, job.rung])


def test_one_at_a_time_promotes_as_soon_as_a_third_of_a_rung_is_better():
    rung_0 = [0.1, 0.5, 0.3, 0.9, 0.2, 0.4, 0.8, 0.7, 0.6]
    values = {(trial, 0): value for trial, value in enumerate(rung_0)}
    values |= {(trial, 1): value + 0.01 for trial, value in enumerate(rung_0)}
    values |= {(trial, 2): value + 0.02 for trial, value in enumerate(rung_0)}
    # After three results the best of them, 1, goes on; after four trial 3 is better, but one in
    # three of four is still one, and it is 3 that ranks first. After six two may be up: 3 and 1
    # are. After nine three: 3, 6 and 7. The third result of rung 1 sends 3 to the top.
    assert walked(begun(9), values) == [
        (0, 0), (1, 0), (2, 0), (1, 1),
        (3, 0), (3, 1),
        (4, 0), (5, 0),
        (6, 0), (6, 1), (3, 2),
        (7, 0),
        (8, 0), (7, 1),
    ]  # fmt: skip


def test_a_metric_that_falls_is_ranked_the_other_way():
    values = {(0, 0): 3.0, (1, 0): 1.0, (2, 0): 2.0, (1, 1): 1.0}
    assert walked(begun(3, rungs=2, rises=False), values)[-1] == (1, 1)


def test_several_at_a_time_never_wait_for_a_rung_to_fill():
    state, jobs = begun(6), []
    for _ in range(4):
        state, job = ask(state)
        jobs.append(job)
    assert jobs == [Job(trial, 0) for trial in range(4)]
    for trial, value in ((2, 0.2), (0, 0.1), (3, 0.3)):
        state = tell(state, Job(trial, 0), value)
    state, job = ask(state)
    assert job == Job(3, 1)  # while trial 1 is still on its way
    state, job = ask(state)
    assert job == Job(4, 0)


def test_what_diverged_is_never_promoted_and_never_the_best():
    state = begun(3, rungs=2, factor=2)
    for value in (None, None, 0.5):
        state, job = ask(state)
        state = tell(state, job, value)
        assert state.best is None or state.best.value == 0.5
    state, job = ask(state)
    assert job == Job(2, 1)
    state = tell(state, job, None)
    assert ask(state)[1] is None
    assert state.is_over


def test_the_best_is_by_last_results_and_of_equals_the_one_that_came_further():
    state = Asha(
        rungs=2, factor=2, trials=2, rises=True, started=2,
        results=(Result(Job(0, 0), 0.9), Result(Job(1, 0), 0.8), Result(Job(0, 1), 0.8)),
    )  # fmt: skip
    assert state.best == Result(Job(0, 1), 0.8)


def test_a_job_that_does_not_run_cannot_end():
    with pytest.raises(ValueError, match="is not running"):
        tell(begun(1), Job(0, 0), 1.0)


@pytest.mark.parametrize("cut", range(0, 14, 3))
def test_a_search_that_goes_on_after_any_result_walks_the_same_way(cut):
    rng = np.random.default_rng(0)
    values = {(trial, rung): float(rng.random()) for trial in range(9) for rung in range(3)}
    whole = walked(begun(9), values)
    done = [Result(Job(*job), values[job]) for job in whole[:cut]]
    state = resumed(begun(9), done)
    assert state.running == frozenset()
    assert whole[:cut] + walked(state, values) == whole


def test_a_trial_that_was_on_its_way_is_run_again():
    done = [Result(Job(0, 0), 0.1), Result(Job(2, 0), 0.3)]
    assert resumed(begun(9), done).running == {Job(1, 0)}
