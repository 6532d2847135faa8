"""Candidates that share their passes: the same fits as one by one; ridge paths, exact."""

from __future__ import annotations

import numpy as np
import pytest
from in_memory import make_block, one_hot, split_block
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import explained_variance_score, r2_score, root_mean_squared_error

from lepton_dask.learn.descent import descend
from lepton_dask.learn.folds import Fold, fold_numbers
from lepton_dask.learn.kernels import sweep_block
from lepton_dask.learn.kernels.candidates import NO_FOLD, sweep_candidates
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.learn.objective import penalised, unpenalised
from lepton_dask.learn.optimizers import Fista, Lbfgs, Newton
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.search.lock_step import descend_together
from lepton_dask.learn.search.ridge_path import local_ridge_path
from lepton_dask.learn.search.shared_passes import Candidate, Folding, SharedLocal
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Layout

LEVELS = (3, 5)
FOLDING = Folding(4, seed=7)


def model_of(loss: str, dense: int = 4, levels: tuple[int, ...] = LEVELS) -> LinearModel:
    return LinearModel(chosen_loss(loss), Layout(dense, levels))


@pytest.mark.parametrize("loss", ["logistic", "squared", "poisson"])
@pytest.mark.parametrize("candidates", [1, 5, 8, 13, 16])
@pytest.mark.parametrize(("dense", "levels"), [(4, LEVELS), (0, (7,)), (9, ())])
def test_a_shared_sweep_is_each_candidates_own(loss, candidates, dense, levels):
    block = make_block(rows=301, dense=dense, levels=levels, loss=loss)
    block = block._replace(target=np.abs(block.target))
    model = model_of(loss, dense, levels)
    rng = np.random.default_rng(candidates)
    thetas = rng.normal(size=(candidates, model.parameters)) / 3
    folds = np.array(fold_numbers(7, 0, 301, 4))
    held = np.array([k % 5 - 1 for k in range(candidates)], dtype=np.int8)  # -1 is none
    sums = sweep_candidates(block, model, thetas, folds, held)
    for k in range(candidates):
        alone = block
        if held[k] != NO_FOLD:
            alone = Fold(int(held[k]), 4, 7).of_block(block, 0)
        one = sweep_block(alone, model, thetas[k])
        assert sums.weight[k] == pytest.approx(one.weight, rel=1e-12)
        assert sums.loss[k] == pytest.approx(one.loss, rel=1e-12)
        np.testing.assert_allclose(sums.gradient[k], one.gradient, rtol=1e-10, atol=1e-10)


def test_rows_of_a_fold_are_its_own_and_the_folds_part_the_rows():
    parts = [Fold(number, 4, 7, held_out=True).rows(3, 1000) for number in range(4)]
    assert (np.sum(parts, axis=0) == 1).all()
    assert min(part.sum() for part in parts) > 200
    others = Fold(2, 4, 7).rows(3, 1000)
    assert (others == ~parts[2]).all()
    assert (fold_numbers(7, 3, 1000, 4) != fold_numbers(8, 3, 1000, 4)).any()
    assert (fold_numbers(7, 3, 1000, 4) != fold_numbers(7, 4, 1000, 4)).any()


def candidates_of(model, optimizer, penalties, folds):
    columns = [f"x{j}" for j in range(model.layout.coefficients)]
    return [
        Candidate(
            Train(loss=model.loss.name, penalty=penalty, tolerance=1e-9),
            optimizer,
            penalised(model, penalty, columns),
            fold,
        )
        for penalty in penalties
        for fold in folds
    ]


@pytest.mark.parametrize(
    ("optimizer", "penalties"),
    [
        (Lbfgs(), [Penalty(l2=l2) for l2 in np.logspace(-5, 0, 6)]),
        (Fista(), [Penalty(l1=l1, l2=0.01) for l1 in (1e-3, 1e-2, 1e-1)]),
        (Newton(), [Penalty(l2=l2) for l2 in (1e-3, 1e-1)]),
    ],
)
def test_together_they_come_to_what_each_comes_to_alone(optimizer, penalties):
    whole = make_block(rows=500)
    blocks = split_block(whole, [180, 350])
    model = model_of("logistic")
    candidates = candidates_of(model, optimizer, penalties, [NO_FOLD, 0, 3])
    shared = SharedLocal(model, blocks, FOLDING)
    found = descend_together(candidates, shared)
    assert sorted(found) == list(range(len(candidates)))
    for number, candidate in enumerate(candidates):
        alone = blocks
        if candidate.fold != NO_FOLD:
            fold = Fold(candidate.fold, 4, 7)
            alone = [fold.of_block(block, n) for n, block in enumerate(blocks)]
        passes = LocalPasses(candidate.objective, alone)
        expected = descend(candidate.train, optimizer, passes)
        np.testing.assert_allclose(found[number].theta, expected.theta, atol=1e-5)
        assert found[number].stopped.code == "tolerance"


def test_the_fit_without_a_fold_is_scikit_learns_on_the_other_rows():
    whole = make_block(rows=400)
    model, l2 = model_of("logistic"), 0.02
    [candidate] = candidates_of(model, Lbfgs(), [Penalty(l2=l2)], [2])
    found = descend_together([candidate], SharedLocal(model, [whole], FOLDING))[0]
    kept = Fold(2, 4, 7).rows(0, 400)
    weight = whole.weight[kept]
    oracle = LogisticRegression(C=1 / (l2 * weight.sum()), tol=1e-10, max_iter=10_000)
    oracle.fit(one_hot(whole, LEVELS)[kept], whole.target[kept], sample_weight=weight)
    np.testing.assert_allclose(found.theta[:-1], oracle.coef_[0], atol=1e-4)


def test_a_pass_answers_all_that_are_still_on_their_way():
    model = model_of("logistic")
    penalties = [Penalty(l2=l2) for l2 in np.logspace(-4, 0, 8)]
    candidates = candidates_of(model, Lbfgs(), penalties, [NO_FOLD])
    answered: list[int] = []
    found = descend_together(
        candidates, SharedLocal(model, [make_block()], FOLDING), on_pass=answered.append
    )
    # Before them the reference's own few passes.
    together = answered[answered.index(8) :]
    assert len(together) == max(descent.passes for descent in found.values())
    assert together == sorted(together, reverse=True)
    assert sum(together) == sum(descent.passes for descent in found.values())


def test_a_fold_knows_nothing_of_the_rows_that_it_leaves_out():
    """Labels by chance, and more columns than rows: any fit is perfect on what it sees, and no
    better than a coin on what it does not."""
    rng = np.random.default_rng(0)
    block = make_block(rows=120, dense=300, levels=(), weighted=False)
    block = block._replace(target=rng.integers(0, 2, 120).astype(float))
    model = model_of("logistic", 300, ())
    columns = [f"x{j}" for j in range(300)]
    objectives = [penalised(model, Penalty(l2=l2), columns) for l2 in (1e-7, 1e-6)]
    train = Train(loss="logistic", tolerance=1e-6)
    candidates = [
        Candidate(train, Lbfgs(), objective, fold) for objective in objectives for fold in range(4)
    ]
    # As one of many that share a Hessian, so that there is a reference to begin with.
    found = descend_together(candidates * 10, SharedLocal(model, [block], FOLDING))
    right = []
    for number, candidate in enumerate(candidates):
        held = Fold(candidate.fold, 4, 7, held_out=True).rows(0, 120)
        z = block.dense @ found[number].theta[:-1] + found[number].theta[-1]
        assert (((z > 0) == block.target)[~held]).all()
        right += ((z > 0) == block.target)[held].tolist()
    assert 0.35 < np.mean(right) < 0.65


def test_who_hears_of_one_may_leave_the_others():
    model = model_of("logistic")
    penalties = [Penalty(l2=l2) for l2 in np.logspace(-4, 0, 8)]
    candidates = candidates_of(model, Lbfgs(), penalties, [NO_FOLD])
    shared = SharedLocal(model, [make_block()], FOLDING)
    found = descend_together(candidates, shared, on_done=lambda *_: True)
    assert len(found) == 1


def ridge(weighted: bool = True):
    whole = make_block(rows=240, loss="squared", weighted=weighted)
    model = model_of("squared")
    blocks = split_block(whole, [100])
    null = LocalPasses(unpenalised(model), blocks).null_model()
    return whole, model, blocks, local_ridge_path(blocks, model, null.theta, FOLDING)


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
def test_every_fold_of_a_ridge_path_is_scikit_learns_ridge_and_its_scores(l2):
    whole, model, blocks, path = ridge()
    columns = [f"x{j}" for j in range(model.layout.coefficients)]
    objective = penalised(model, Penalty(l2=l2), columns)
    X = one_hot(whole, LEVELS)
    numbers = np.concatenate([fold_numbers(7, n, len(b.target), 4) for n, b in enumerate(blocks)])
    for fold in range(4):
        kept, held = numbers != fold, numbers == fold
        w = whole.weight
        oracle = Ridge(alpha=l2 * w[kept].sum(), solver="cholesky")
        oracle.fit(X[kept], whole.target[kept], sample_weight=w[kept])
        theta = path.fit(objective, fold)
        np.testing.assert_allclose(theta[:-1], oracle.coef_, atol=1e-9)
        y, p = whole.target[held], oracle.predict(X[held])
        expected = {
            "rmse": root_mean_squared_error(y, p, sample_weight=w[held]),
            "r2": r2_score(y, p, sample_weight=w[held]),
            "explained_variance": explained_variance_score(y, p, sample_weight=w[held]),
        }
        for metric, value in expected.items():
            assert path.score(metric, theta, fold) == pytest.approx(value, rel=1e-9)


def test_a_ridge_path_without_a_fold_left_out_is_the_fit_to_all_rows():
    whole, model, _, path = ridge(weighted=False)
    columns = [f"x{j}" for j in range(model.layout.coefficients)]
    theta = path.fit(penalised(model, Penalty(l2=0.1), columns))
    oracle = Ridge(alpha=0.1 * 240, solver="cholesky").fit(one_hot(whole, LEVELS), whole.target)
    np.testing.assert_allclose(theta[:-1], oracle.coef_, atol=1e-10)
    assert theta[-1] == pytest.approx(oracle.intercept_, abs=1e-10)
