"""Standard errors, z and p, against statsmodels' generalised linear models."""

import numpy as np
import pytest
import statsmodels.api as sm

from lepton_dask.learn.descent import descend
from lepton_dask.learn.inference import Dependent, estimates, total_information
from lepton_dask.learn.information import block_information
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import Gamma, Logistic, Poisson, Squared, Tweedie
from lepton_dask.learn.objective import unpenalised
from lepton_dask.learn.optimizers import OPTIMIZERS
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Block, Layout

LAYOUT = Layout(2, (3, 4))
FEATURES = ("x1", "x2", "a=0", "a=1", "a=(other)", "b=0", "b=1", "b=2", "b=(other)")
KEPT = [0, 1, 3, 6, 7]
"""x1, x2 and the levels that have rows, but for the first of each column."""

CASES = [
    (Squared(), sm.families.Gaussian()),
    (Logistic(), sm.families.Binomial()),
    (Poisson(), sm.families.Poisson()),
    (Gamma(), sm.families.Gamma(sm.families.links.Log())),
    (Tweedie(power=1.5), sm.families.Tweedie(sm.families.links.Log(), var_power=1.5)),
]
every_family = pytest.mark.parametrize(
    ("loss", "family"), CASES, ids=[loss.name for loss, _ in CASES]
)


def drawn_block(loss, rows=400, seed=3):
    """Rows of two numbers and two categories, whose last levels nobody has."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(rows, 2))
    codes = np.column_stack([rng.integers(0, 2, rows), rng.integers(0, 3, rows)]).astype(np.int32)
    z = dense @ [0.5, -0.3] + np.array([0.1, 0.6])[codes[:, 0]] + 0.3 * codes[:, 1]
    mean = loss.inverse_link(z)
    target = {
        "squared": lambda: rng.normal(mean),
        "logistic": lambda: rng.binomial(1, mean).astype(float),
        "poisson": lambda: rng.poisson(mean).astype(float),
        "gamma": lambda: rng.gamma(2.0, mean / 2.0),
        "tweedie": lambda: rng.poisson(mean) * rng.gamma(2.0, 0.5, rows),
    }[loss.name]()
    return Block(dense, codes, target, rng.uniform(0.5, 2.0, rows))


def fitted(loss, block):
    model = LinearModel(loss, LAYOUT)
    passes = LocalPasses(unpenalised(model), [block])
    train = Train(loss="squared", tolerance=1e-11)
    theta = descend(train, OPTIMIZERS["lbfgs"](), passes).theta
    halves = [Block(*(a[rows] for a in block[:4])) for rows in (slice(0, 150), slice(150, None))]
    whole = total_information([block_information(each, model, theta) for each in halves])
    return model, theta, whole


def with_contrasts(block):
    """The columns KEPT, and a constant."""
    a = block.codes[:, [0]] == 1
    b = block.codes[:, [1]] == [1, 2]
    return np.column_stack([block.dense, a, b, np.ones(len(a))]).astype(float)


@every_family
def test_errors_z_and_p_equal_those_of_statsmodels(loss, family):
    block = drawn_block(loss)
    model, theta, information = fitted(loss, block)
    found = estimates(model, FEATURES, theta, information)

    glm = sm.GLM(block.target, with_contrasts(block), family=family, var_weights=block.weight)
    # The canonical links solve in IRLS, whose deviance stops too early by default.
    oracle = glm.fit(tol=1e-14, tol_criterion="params")
    told = [found[i] for i in (*KEPT, -1)]
    scale = 1.0 if loss.name in ("logistic", "poisson") else oracle.pearson_chi2 / (400 - 6)
    errors = np.sqrt(np.diag(oracle.normalized_cov_params) * scale)
    np.testing.assert_allclose([each.coefficient for each in told], oracle.params, rtol=1e-6)
    np.testing.assert_allclose([each.standard_error for each in told], errors, rtol=1e-6)
    np.testing.assert_allclose([each.z for each in told], oracle.params / errors, rtol=1e-6)
    np.testing.assert_allclose(oracle.bse, errors, rtol=1e-6)
    np.testing.assert_allclose([each.p for each in told], oracle.pvalues, rtol=1e-5)


def test_a_reference_level_and_one_without_rows_have_no_error_and_say_why():
    loss = Logistic()
    found = estimates(*_named(fitted(loss, drawn_block(loss))))
    notes = {each.feature: each.note for each in found if each.standard_error is None}
    assert notes == {
        "a=0": "reference",
        "a=(other)": "no row",
        "b=0": "reference",
        "b=(other)": "no row",
    }


def test_a_column_that_is_a_sum_of_others_is_named():
    loss = Squared()
    block = drawn_block(loss)
    twice = block._replace(dense=np.column_stack([block.dense, block.dense.sum(axis=1)]))
    model = LinearModel(loss, Layout(3, (3, 4)))
    information = block_information(twice, model, np.zeros(model.parameters))
    with pytest.raises(Dependent) as raised:
        estimates(model, ("x1", "x2", "x3", *FEATURES[2:]), np.zeros(11), information)
    assert raised.value.feature == "x3"


def _named(fit):
    model, theta, information = fit
    return model, FEATURES, theta, information
