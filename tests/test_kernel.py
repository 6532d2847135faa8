"""The pass over one chunk, against the same sums written with one-hot columns."""

import threading

import numpy as np
import pytest
import threadpoolctl
from in_memory import make_block, one_hot, split_block

from lepton_dask.learn import kernel
from lepton_dask.learn.kernel import column_sums, linear_predictor, sweep_block
from lepton_dask.learn.losses import LOSSES
from lepton_dask.learn.objective import Objective, total, total_columns
from lepton_dask.learn.penalty import Penalty
from lepton_dask.matrix import Block

SHAPES = [(4, (3, 5)), (4, ()), (0, (3, 5)), (0, ()), (1, (1,)), (40, (200,))]

every_shape = pytest.mark.parametrize(("dense", "levels"), SHAPES)
every_loss = pytest.mark.parametrize("loss", list(LOSSES))


def theta_for(dense, levels, seed=1):
    return np.random.default_rng(seed).normal(size=dense + sum(levels) + 1)


@every_loss
@every_shape
def test_sums_equal_those_over_one_hot_columns(loss, dense, levels, monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK_VALUES", 64)  # many blocks of rows
    block = make_block(rows=500, dense=dense, levels=levels, loss=loss)
    theta = theta_for(dense, levels)
    X = np.column_stack([one_hot(block, levels), np.ones(500)])
    z = X @ theta
    w, y = block.weight, block.target

    sums = sweep_block(block, levels, LOSSES[loss], theta)

    np.testing.assert_allclose(linear_predictor(block, levels, theta), z, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(sums.loss, w @ LOSSES[loss].value(y, z), rtol=1e-12)
    np.testing.assert_allclose(sums.weight, w.sum(), rtol=1e-13)
    expected = X.T @ (w * LOSSES[loss].gradient(y, z))
    np.testing.assert_allclose(sums.gradient, expected, rtol=1e-10, atol=1e-10)


@every_loss
def test_the_gradient_of_the_objective_agrees_with_finite_differences(loss):
    block, levels = make_block(loss=loss), (3, 5)
    objective = Objective(LOSSES[loss], Penalty(l2=0.3))
    theta = theta_for(4, levels)

    def value(at):
        return objective.evaluate(at, total([sweep_block(block, levels, LOSSES[loss], at)])).value

    h = 1e-6
    slopes = [(value(theta + h * e) - value(theta - h * e)) / (2 * h) for e in np.eye(len(theta))]
    evaluation = objective.evaluate(theta, total([sweep_block(block, levels, LOSSES[loss], theta)]))
    np.testing.assert_allclose(evaluation.gradient, slopes, rtol=1e-6, atol=1e-8)


def test_the_penalty_leaves_the_intercept_alone():
    block, levels = make_block(levels=()), ()
    theta = theta_for(4, levels)
    sums = total([sweep_block(block, levels, LOSSES["logistic"], theta)])
    free, bound = (
        Objective(LOSSES["logistic"], Penalty(l2=l2)).evaluate(theta, sums) for l2 in (0.0, 2.0)
    )
    np.testing.assert_allclose(bound.gradient - free.gradient, [*(2.0 * theta[:-1]), 0.0])
    assert bound.value - free.value == pytest.approx(theta[:-1] @ theta[:-1])


@every_loss
def test_the_chunks_sums_add_up_to_the_whole_wherever_it_is_cut(loss):
    block, levels = make_block(loss=loss), (3, 5)
    theta = theta_for(4, levels)
    whole = sweep_block(block, levels, LOSSES[loss], theta)
    chunks = split_block(block, [1, 1, 100, 299])
    added = total([sweep_block(chunk, levels, LOSSES[loss], theta) for chunk in chunks])
    np.testing.assert_allclose(added.loss, whole.loss, rtol=1e-13)
    np.testing.assert_allclose(added.gradient, whole.gradient, rtol=1e-10, atol=1e-11)


@every_loss
@every_shape
def test_the_start_is_the_best_model_without_features_and_its_hessians_diagonal(
    loss, dense, levels
):
    block = make_block(dense=dense, levels=levels, loss=loss)
    objective = Objective(LOSSES[loss], Penalty(l2=0.3))
    null = objective.null_model(total_columns([column_sums(block, levels)]))

    def gradient(at):
        sums = total([sweep_block(block, levels, LOSSES[loss], at)])
        return objective.evaluate(at, sums).gradient

    h = 1e-5
    bends = [
        (gradient(null.theta + h * e)[j] - gradient(null.theta - h * e)[j]) / (2 * h)
        for j, e in enumerate(np.eye(len(null.theta)))
    ]
    assert gradient(null.theta)[-1] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(null.curvature, bends, rtol=1e-6, atol=1e-9)


def test_a_chunk_without_rows_contributes_nothing():
    block, levels = split_block(make_block(), [0])[0], (3, 5)
    sums = sweep_block(block, levels, LOSSES["logistic"], theta_for(4, levels))
    assert (sums.loss, sums.weight) == (0.0, 0.0)
    assert not sums.gradient.any()


def test_rows_of_weight_zero_contribute_nothing():
    block, levels = make_block(), (3, 5)
    theta = theta_for(4, levels)
    kept = block.weight > 1
    weighed = sweep_block(
        block._replace(weight=block.weight * kept), levels, LOSSES["logistic"], theta
    )
    alone = sweep_block(Block(*(a[kept] for a in block)), levels, LOSSES["logistic"], theta)
    np.testing.assert_allclose(weighed.gradient, alone.gradient, rtol=1e-12, atol=1e-12)


def test_sums_are_equal_to_the_byte_for_misaligned_and_transposed_arrays():
    block, levels = make_block(rows=1000, dense=7), (3, 5)
    theta = theta_for(7, levels)
    misaligned = np.frombuffer(b"x" + block.dense.tobytes(), np.uint8)[1:].view(np.float64)
    assert not misaligned.flags.aligned
    arrived = block._replace(dense=misaligned.reshape(block.dense.shape))
    transposed = block._replace(
        dense=np.asfortranarray(block.dense), codes=np.asfortranarray(block.codes)
    )
    one, *others = (
        sweep_block(b, levels, LOSSES["logistic"], theta) for b in (block, arrived, transposed)
    )
    for other in others:
        assert one.gradient.tobytes() == other.gradient.tobytes()
        assert one.loss == other.loss


def test_a_pass_changes_none_of_its_arguments():
    block, levels = make_block(loss="squared"), (3, 5)
    theta = theta_for(4, levels)
    before = [array.copy() for array in (*block, theta)]
    sweep_block(block, levels, LOSSES["squared"], theta)
    for array, copy in zip((*block, theta), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_blas_is_pinned_to_one_thread_for_the_whole_process():
    thread = threading.Thread(target=kernel.pin_blas)
    thread.start()
    thread.join()
    pools = threadpoolctl.threadpool_info()
    assert {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"} == {1}
