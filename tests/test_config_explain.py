"""Components from nodes: one mistake, one line, whatever unions stand behind it."""

from __future__ import annotations

import pytest

from lepton_dask.component import Component
from lepton_dask.config.compose import compose
from lepton_dask.config.explain import build
from lepton_dask.config.nodes import Source
from lepton_dask.data.prepare import Prepare
from lepton_dask.data.read import Read
from lepton_dask.errors import Mistake
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.train import Train


def told(component: type[Component], text: str) -> list[str]:
    composed = compose(Source("a.yaml", text))
    assert composed.root is not None
    mistakes: list[Mistake] = []
    built = build(component, composed.root, (), mistakes)
    assert (built is None) == bool(mistakes)
    for mistake in mistakes:
        for jargon in ("Input should", "valid ", "Extra inputs", "discriminator", "tuple", "dict"):
            assert jargon not in str(mistake)
    return [str(mistake) for mistake in mistakes]


@pytest.mark.parametrize(
    ("component", "text", "mistakes"),
    [
        (Train, "{loss: logistic, optimizer: ato}",
         ["optimizer: unknown 'ato'; did you mean 'auto'?"]),
        (Train, "{loss: logistic, optimizer: adm}",
         ["optimizer: unknown 'adm'; write auto, normal, newton, prox_newton, "
          "interior_point, lbfgs, gradient_descent, fista or sgd"]),
        (Train, "{loss: logistic, optimizer: {lbfs: {}}}",
         ["lbfs: unknown key; did you mean 'lbfgs'? the keys here are normal, newton, "
          "prox_newton, interior_point, lbfgs, gradient_descent, fista, sgd"]),
        (Train, "{loss: logistic, optimizer: {lbfgs: {history: 0}}}",
         ["history: must be greater than 0, found 0"]),
        (Train, "{loss: logistic, optimizer: {lbfgs: {}, gradient_descent: {}}}",
         ["optimizer: expected one optimizer, found lbfgs, gradient_descent"]),
        (Train, "{loss: logistic, optimizer: 3}",
         ["optimizer: expected text or a mapping (keys: normal, newton, prox_newton, "
          "interior_point, lbfgs, gradient_descent, fista, sgd), found the "
          "number 3; write \"3\" for the text"]),
        (Train, "{loss: logistic, penalty: 0.1}",
         ["penalty: expected a mapping (keys: l1, l2, factors), found the number 0.1"]),
        (Train, "{loss: logistic, penalty: }",
         ["penalty: expected a mapping (keys: l1, l2, factors), found nothing"]),
        (Train, "{loss: logistic, max_passes: 1.5}",
         ["max_passes: expected a whole number, found the number 1.5"]),
        (Train, "{loss: logistic, max_passes: true}",
         ["max_passes: expected a whole number, found true"]),
        (Train, "{}", ["loss: missing key; add 'loss:' (text or a mapping (keys: squared, "
          "logistic, multinomial, poisson, gamma, tweedie, huber, quantile))"]),
        (Train, "{los: logistic}",
         ["los: unknown key; did you mean 'loss'? the keys here are loss, class_weight, "
          "penalty, optimizer, max_passes, tolerance, early_stopping, goal, inference, features, "
          "search"]),
        (Read, "{path: {train: 5}}",
         ["train: expected text or a list, found the number 5; write \"5\" for the text"]),
        (Read, "{path: a, types: {x: {timestamp: 1, zon: UTC}}}",
         ["zon: unknown key; did you mean 'zone'? the keys here are timestamp, zone",
          "timestamp: expected text, found the number 1; write \"1\" for the text"]),
        (Read, "{path: a, types: {x: {date: '%Y', zone: UTC}}}",
         ["zone: unknown key; the keys here are date"]),
        (Read, "{path: a, types: {x: txt}}", ["x: unknown 'txt'; did you mean 'text'?"]),
        (Read, "{path: a, missing_values: NA}",
         ["missing_values: expected a list or a mapping, found the text 'NA'; write [NA]"]),
        (Read, "{path: a, missing_values: {x: [1]}, rows: 0}",
         ["rows: must be greater than 0, found 0",
          "x[0]: expected text, found the number 1; write \"1\" for the text"]),
        (Read, "{path: a, separator: ''}",
         ["separator: is shorter than 1 character(s), found ''"]),
        (Prepare, "{target: y, numeric: {impute: {constnt: 1}}}",
         ["constnt: unknown key; did you mean 'constant'? the keys here are constant"]),
        (Prepare, "{target: y, numeric: {impute: '0'}}",
         ["impute: expected one of mean, median, none, a number or a mapping (keys: constant), "
          "found the text '0' (quotes make it text); write 0 without the quotes"]),
        (Prepare, "{target: y, columns: {a: {as: num}}}",
         ["as: unknown 'num'; did you mean 'number'?"]),
        (Prepare, "{target: y, columns: {a: {hash: {words: [1, x]}}}}",
         ["words[1]: expected a whole number, found the text 'x'"]),
        (Evaluate, "{metrics: []}", ["metrics: must hold at least 1 of them"]),
        (Evaluate, "{metrics: [roc_auc, 5]}",
         ["metrics[1]: expected text, found the number 5; write \"5\" for the text"]),
    ],
)  # fmt: skip
def test_one_line_a_mistake(component: type[Component], text: str, mistakes: list[str]) -> None:
    assert told(component, text) == mistakes
