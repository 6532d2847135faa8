"""Every loss keeps the contract of `Loss`: its name, its link, what it takes."""

import subprocess
import sys

import numpy as np
import pytest
from loss_problems import CLASSES, EVERY_LOSS, targets
from pydantic import TypeAdapter, ValidationError
from sklearn._loss.link import LogLink, MultinomialLogit
from sklearn._loss.loss import HalfBinomialLoss

from lepton_dask.learn.kernels import pointwise
from lepton_dask.learn.links import LINKS
from lepton_dask.learn.losses import (
    LOSSES,
    Gamma,
    Huber,
    Logistic,
    LossChoice,
    Multinomial,
    Poisson,
    Quantile,
    Squared,
    Tweedie,
    chosen_loss,
)

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=list(EVERY_LOSS))
PREDICTORS = np.array([-1000.0, -800.0, -40.0, -3.0, -1e-9, 0.0, 1e-9, 0.5, 36.0, 40.0, 1000.0])
CHOICE = TypeAdapter(LossChoice)


def test_a_bundle_can_import_the_links_with_numpy_alone():
    absent = ("dask", "distributed", "pydantic", "pyarrow", "numba", "scipy", "pandas")
    script = f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
    script += "import lepton_dask.learn.links"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_loss_has_a_link_and_a_code_of_its_own():
    assert set(LINKS) == set(LOSSES)
    assert len({kind.code for kind in LOSSES.values()}) == len(LOSSES)


@pytest.mark.parametrize(
    ("written", "loss"),
    [
        ("logistic", Logistic()),
        ("tweedie", Tweedie(power=1.5)),
        ({"tweedie": {"power": 0}}, Tweedie(power=0)),
        ({"quantile": {"quantile": 0.9}}, Quantile(quantile=0.9)),
        ({"huber": {}}, Huber(epsilon=1.35)),
    ],
)
def test_a_pipeline_names_a_loss_or_gives_its_table(written, loss):
    assert chosen_loss(CHOICE.validate_python(written)) == loss


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("hinge", "'squared' or 'logistic'"),
        ({"hinge": {}}, "Extra inputs"),
        ({"squared": {}, "huber": {}}, "expected one loss, found squared, huber"),
        ({}, "expected one loss, found none"),
        ({"tweedie": {"power": 0.5}}, "no Tweedie distribution has a power between 0 and 1"),
        ({"huber": {"epsilon": 0.9}}, "greater than or equal to 1"),
        ({"quantile": {"quantile": 1.0}}, "less than 1"),
        ({"logistic": {"power": 1}}, "Extra inputs"),
    ],
)
def test_a_choice_that_is_wrong_says_why(written, reason):
    with pytest.raises(ValidationError, match=reason):
        CHOICE.validate_python(written)


@every_loss
def test_link_and_inverse_link_undo_each_other(loss):
    if loss.name == "multinomial":
        means = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    elif loss.name == "logistic":
        means = np.linspace(0.001, 0.999, 101)
    else:
        means = np.geomspace(1e-9, 1e9, 101)
    np.testing.assert_allclose(loss.inverse_link(loss.link(means)), means, rtol=1e-12)


def test_inverse_links_equal_scikit_learns():
    binomial = HalfBinomialLoss()
    np.testing.assert_allclose(
        Logistic().inverse_link(PREDICTORS), binomial.link.inverse(PREDICTORS), rtol=1e-14, atol=0
    )
    z = PREDICTORS[np.abs(PREDICTORS) < 100]
    np.testing.assert_allclose(Gamma().inverse_link(z), LogLink().inverse(z), rtol=1e-14)
    z = np.random.default_rng(0).normal(0, 30, (50, 4))
    np.testing.assert_allclose(
        Multinomial().inverse_link(z), MultinomialLogit().inverse(z), rtol=1e-13
    )


@every_loss
def test_the_link_of_the_ends_of_the_means_is_finite(loss):
    ends = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert np.all(np.isfinite(loss.link(ends)))


@pytest.mark.parametrize(
    "loss", [loss for loss in EVERY_LOSS.values() if loss.name not in ("huber", "quantile")]
)
def test_the_null_model_is_the_link_of_the_mean_and_its_curvature_is_known(loss):
    y = targets(loss, 400, np.random.default_rng(0))
    mean = np.bincount(y.astype(int)) / len(y) if loss.name == "multinomial" else y.mean()
    z = np.broadcast_to(loss.link(np.asarray(mean)), (len(y), *np.shape(mean)))
    assert np.shape(mean) in ((), (CLASSES,))
    slope, bend = pointwise.gradient(loss, y, z), pointwise.curvature(loss, y, z)
    np.testing.assert_allclose(slope.mean(axis=0), 0, atol=1e-12)
    expected = bend.mean(axis=0)
    np.testing.assert_allclose(loss.null_curvature(np.asarray(mean)), expected, rtol=1e-12)


def test_hubers_null_curvature_is_that_of_residuals_within_epsilon_at_scale_1():
    y = np.random.default_rng(0).uniform(-1, 1, 50)
    bend = pointwise.curvature(Huber(), y, np.full(50, y.mean()))
    np.testing.assert_array_equal(Huber().null_curvature(y), bend)


@pytest.mark.parametrize(
    ("loss", "lowest", "highest", "problem"),
    [
        (Squared(), -1e9, 1e9, None),
        (Huber(), -1e9, 1e9, None),
        (Quantile(), -1e9, 1e9, None),
        (Logistic(), 0, 1, None),
        (Logistic(), -1, 1, "needs targets from 0 to 1"),
        (Logistic(), 0, 2, "needs targets from 0 to 1"),
        (Poisson(), 0, 9, None),
        (Poisson(), -0.1, 9, "needs targets of at least 0"),
        (Gamma(), 0.1, 9, None),
        (Gamma(), 0, 9, "needs targets above 0"),
        (Tweedie(power=0), -5, 9, None),
        (Tweedie(power=1), 0, 9, None),
        (Tweedie(power=1), -1, 9, "needs targets of at least 0"),
        (Tweedie(power=1.5), -1, 9, "needs targets of at least 0"),
        (Tweedie(power=2), 0, 9, "needs targets above 0"),
        (Tweedie(power=3), 0, 9, "needs targets above 0"),
    ],
)
def test_a_loss_says_which_targets_it_cannot_take(loss, lowest, highest, problem):
    assert loss.target_problem(lowest, highest) == problem
