"""Every loss keeps the contract of `Loss`; a new one is a row in ORACLES."""

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from sklearn._loss.loss import HalfBinomialLoss, HalfSquaredError

from lepton_dask.learn.losses import LOSSES, LossName

ORACLES = {"squared": HalfSquaredError(), "logistic": HalfBinomialLoss()}
TARGETS = {"squared": np.array([-3.0, 0.0, 0.4, 1000.0]), "logistic": np.array([0.0, 1.0, 0.3])}
MEANS = {"squared": np.linspace(-1e6, 1e6, 101), "logistic": np.linspace(0.001, 0.999, 101)}
PREDICTORS = np.array([-1000.0, -800.0, -40.0, -3.0, -1e-9, 0.0, 1e-9, 0.5, 36.0, 40.0, 1000.0])

every_loss = pytest.mark.parametrize("name", list(LOSSES))


def grid(name):
    y, z = np.meshgrid(TARGETS[name], PREDICTORS)
    return y.ravel(), z.ravel()


def test_the_names_in_the_grammar_are_the_losses():
    assert set(get_args(LossName)) == set(LOSSES) == set(ORACLES)


def test_a_bundle_can_import_the_losses_without_dask_and_pydantic():
    script = """
import sys
import lepton_dask.learn.losses
sys.exit(bool({"dask", "distributed", "pydantic", "pyarrow"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@every_loss
def test_value_and_gradient_are_finite_at_a_thousand(name):
    y, z = grid(name)
    loss = LOSSES[name]
    for result in (loss.value(y, z), loss.gradient(y, z), loss.curvature(y, z)):
        assert np.all(np.isfinite(result))
    assert np.all(loss.value(y, z) >= 0)
    assert np.all(loss.curvature(y, z) >= 0)


@every_loss
def test_gradient_and_curvature_are_the_derivatives_by_finite_differences(name):
    y, z = np.meshgrid(TARGETS[name], np.linspace(-6, 6, 25))
    loss, h = LOSSES[name], 1e-5
    slope = (loss.value(y, z + h) - loss.value(y, z - h)) / (2 * h)
    bend = (loss.gradient(y, z + h) - loss.gradient(y, z - h)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(y, z), slope, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(loss.curvature(y, z), bend, rtol=1e-6, atol=1e-7)


@every_loss
def test_value_gradient_and_link_equal_scikit_learns(name):
    y, z = grid(name)
    loss, oracle = LOSSES[name], ORACLES[name]
    # scikit-learn's half logistic loss rounds to 0 at y = 1, z = 36, where it is 2e-16.
    np.testing.assert_allclose(loss.value(y, z), oracle.loss(y, z), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(loss.gradient(y, z), oracle.gradient(y, z), rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(
        loss.inverse_link(PREDICTORS), oracle.link.inverse(PREDICTORS), rtol=1e-14, atol=0
    )


@every_loss
def test_value_and_gradient_at_once_equal_the_two(name):
    y, z = grid(name)
    loss = LOSSES[name]
    value, gradient = loss.value_and_gradient(y, z)
    np.testing.assert_array_equal(value, loss.value(y, z))
    np.testing.assert_array_equal(gradient, loss.gradient(y, z))
    assert not np.shares_memory(gradient, z)


@every_loss
def test_link_and_inverse_link_undo_each_other(name):
    loss, means = LOSSES[name], MEANS[name]
    np.testing.assert_allclose(loss.inverse_link(loss.link(means)), means, rtol=1e-12)


@every_loss
def test_the_best_constant_predictor_is_the_link_of_the_mean(name):
    loss = LOSSES[name]
    y = TARGETS[name]
    z = np.full_like(y, loss.link(np.mean(y)))
    assert abs(loss.gradient(y, z).sum()) < 1e-9


def test_the_logistic_gradient_keeps_its_digits_in_the_tail():
    y, z = np.array([1.0, 0.0]), np.array([40.0, -40.0])
    tail = np.exp(-40.0) / (1 + np.exp(-40.0))
    np.testing.assert_allclose(LOSSES["logistic"].gradient(y, z), [-tail, tail], rtol=1e-15)


def test_the_logistic_link_of_a_class_that_never_or_always_comes_is_finite():
    assert np.all(np.isfinite(LOSSES["logistic"].link(np.array([0.0, 1.0]))))
