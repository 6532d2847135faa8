"""Optuna as the sampler of a search, by its ask and tell: it is never given a function to call."""

from __future__ import annotations

import json
from typing import Any

from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.search.block import Search
from lepton_dask.learn.search.domains import Value
from lepton_dask.learn.search.space import Dimension, Point, Space
from lepton_dask.run.search_log import SearchLog
from lepton_dask.run.work import Work


class OptunaSampler:
    """Asks a study where the next trial is to be, and tells it what the trial came to on the lowest
    rung, the one where all trials were. The portfolio's points are enqueued; what an earlier run
    found is told first."""

    def __init__(self, work: Work, search: Search, space: Space, log: SearchLog) -> None:
        import optuna  # an extra: the plan has seen that it is there

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        rises = METRICS[search.scored_by].greater_is_better
        self._study = optuna.create_study(
            direction="maximize" if rises else "minimize",
            sampler=optuna.samplers.TPESampler(seed=work.seed),
        )
        self._failed = optuna.trial.TrialState.FAIL
        self._space, self._log = space, log
        self._asked: dict[int, Any] = {}
        known = {each.trial: each for each in log.results if each.rung == 0}
        for trial, result in sorted(known.items()):
            self._enqueue(result.point)
            self.ask(trial)
            self.tell(trial, result.value)

    def ask(self, trial: int) -> Point:
        if trial < self._log.starts:
            self._enqueue(self._log.point(trial))
        asked = self._asked[trial] = self._study.ask()
        return {each.name: _suggested(asked, each) for each in self._space.dimensions}

    def tell(self, trial: int, value: float | None) -> None:
        asked = self._asked.pop(trial)
        if value is None:
            self._study.tell(asked, state=self._failed)
        else:
            self._study.tell(asked, value)

    def _enqueue(self, point: Point) -> None:
        dimensions = {each.name: each for each in self._space.dimensions}
        self._study.enqueue_trial(
            {name: _parameter(dimensions[name], value) for name, value in point.items()}
        )


def _suggested(asked: Any, dimension: Dimension) -> Value:
    """A field's value in an Optuna trial."""
    domain, name = dimension.domain, dimension.name
    value: Value
    if domain.choices is not None:
        texts = [json.dumps(choice) for choice in domain.choices]
        value = domain.choices[texts.index(asked.suggest_categorical(name, texts))]
    elif dimension.whole:
        value = asked.suggest_int(name, round(domain.low), round(domain.high), log=bool(domain.log))
    else:
        value = asked.suggest_float(name, domain.low, domain.high, log=bool(domain.log))
    return value


def _parameter(dimension: Dimension, value: Value) -> Any:
    """The value as Optuna holds it: choices, which may be lists, as their JSON."""
    return value if dimension.domain.choices is None else json.dumps(value)
