"""The pass over one chunk, against the same sums written with explicit columns."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl
from loss_problems import EVERY_LOSS, FULL, LAYOUTS, columns, make_problem, take

from lepton_dask.kept_kernels import Kept
from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.kernels import (
    Batch,
    column_sums,
    hessian,
    linear_predictor,
    outputs,
    pointwise,
    sweep,
    sweep_block,
    warm_up,
    warming,
)
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Huber, Logistic, Multinomial, Poisson, Quantile, Squared
from lepton_dask.matrix import Block, Layout

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=list(EVERY_LOSS))
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=str)


def smoothing(loss):
    return 0.3 if isinstance(loss, Quantile) else 0.0


def swept(block, model, theta, **options):
    return sweep_block(block, model, theta, smoothing=smoothing(model.loss), **options)


@pytest.fixture
def _short_runs(monkeypatch):
    """Many runs of rows, their ends inside of groups of four."""
    monkeypatch.setattr(sweep, "MAX_RUN_ROWS", 30)
    monkeypatch.setattr(outputs, "MAX_BLOCK_ROWS", 31)
    monkeypatch.setattr(hessian, "MAX_BLOCK_ROWS", 77)


@pytest.mark.usefixtures("_short_runs")
@every_loss
@every_layout
def test_sums_equal_those_over_explicit_columns(loss, layout):
    block, model, theta = make_problem(loss, layout)
    X = columns(block, layout)
    T = theta[: len(theta) - loss.extra].reshape(-1, model.outputs)
    z = X @ T if model.outputs > 1 else (X @ T)[:, 0]
    terms = {"scale": float(theta[-1]) if loss.extra else 1.0, "smoothing": smoothing(loss)}
    slope = pointwise.gradient(loss, block.target, z, **terms)
    w = block.weight

    sums = swept(block, model, theta)

    np.testing.assert_allclose(linear_predictor(block, model, theta), z, rtol=1e-12, atol=1e-13)
    values = pointwise.value(loss, block.target, z, **terms)
    np.testing.assert_allclose(sums.loss, w @ values, rtol=1e-12)
    np.testing.assert_allclose(sums.weight, w.sum(), rtol=1e-13)
    expected = (X.T @ (slope.reshape(len(w), -1) * w[:, None])).ravel()
    np.testing.assert_allclose(sums.gradient[: len(expected)], expected, rtol=1e-10, atol=1e-10)
    assert sums.hessian is None


@pytest.mark.usefixtures("_short_runs")
@every_loss
@every_layout
def test_gradient_and_hessian_are_the_derivatives_by_finite_differences(loss, layout):
    block, model, theta = make_problem(loss, layout, rows=203)
    sums = swept(block, model, theta, curvature=True)
    h, steps = 1e-6, np.eye(len(theta))
    up = [swept(block, model, theta + h * e) for e in steps]
    down = [swept(block, model, theta - h * e) for e in steps]
    slopes = [(a.loss - b.loss) / (2 * h) for a, b in zip(up, down, strict=True)]
    bends = [(a.gradient - b.gradient) / (2 * h) for a, b in zip(up, down, strict=True)]
    size = np.abs(sums.hessian).max()
    np.testing.assert_allclose(sums.gradient, slopes, rtol=1e-6, atol=1e-6 * size)
    np.testing.assert_allclose(sums.hessian, bends, rtol=1e-5, atol=1e-8 * size)
    np.testing.assert_array_equal(sums.hessian, sums.hessian.T)


@every_loss
def test_the_gradient_is_the_same_with_the_hessian_and_without(loss):
    block, model, theta = make_problem(loss)
    with_it, without = swept(block, model, theta, curvature=True), swept(block, model, theta)
    np.testing.assert_allclose(with_it.gradient, without.gradient, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(with_it.loss, without.loss, rtol=1e-13)


def test_hubers_hessian_is_positive_semidefinite():
    block, model, theta = make_problem(Huber())
    H = swept(block, model, theta, curvature=True).hessian
    values = np.linalg.eigvalsh(H)
    assert values[0] > -1e-12 * values[-1]


@every_loss
def test_the_chunks_sums_add_up_to_the_whole_wherever_it_is_cut(loss):
    block, model, theta = make_problem(loss)
    whole = swept(block, model, theta, curvature=True)
    cuts = np.split(np.arange(500), [1, 1, 100, 299])
    chunks = [swept(take(block, rows), model, theta, curvature=True) for rows in cuts]
    np.testing.assert_allclose(sum(c.loss for c in chunks), whole.loss, rtol=1e-12)
    np.testing.assert_allclose(sum(c.weight for c in chunks), whole.weight, rtol=1e-13)
    gradient = sum(c.gradient for c in chunks)
    np.testing.assert_allclose(gradient, whole.gradient, rtol=1e-10, atol=1e-10)
    hessian = sum(c.hessian for c in chunks)
    np.testing.assert_allclose(hessian, whole.hessian, rtol=1e-10, atol=1e-10)


@every_loss
@pytest.mark.parametrize("curvature", [False, True])
def test_batches_partition_the_rows(loss, curvature):
    block, model, theta = make_problem(loss, rows=101)
    whole = swept(block, model, theta, curvature=curvature)
    batches = [swept(block, model, theta, curvature=curvature, rows=Batch(b, 7)) for b in range(7)]
    np.testing.assert_allclose(sum(b.weight for b in batches), whole.weight, rtol=1e-13)
    gradient = sum(b.gradient for b in batches)
    np.testing.assert_allclose(gradient, whole.gradient, rtol=1e-10, atol=1e-10)
    assert min(b.weight for b in batches) > 0.3 * max(b.weight for b in batches)


@every_loss
def test_whole_weights_equal_repeated_rows(loss):
    block, model, theta = make_problem(loss, rows=120)
    times = np.random.default_rng(3).integers(0, 4, 120)
    weighed = swept(block._replace(weight=times.astype(float)), model, theta, curvature=True)
    repeated = take(block, np.repeat(np.arange(120), times))
    repeated = repeated._replace(weight=np.ones(times.sum()))
    copied = swept(repeated, model, theta, curvature=True)
    assert weighed.weight == copied.weight
    np.testing.assert_allclose(weighed.loss, copied.loss, rtol=1e-12)
    np.testing.assert_allclose(weighed.gradient, copied.gradient, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(weighed.hessian, copied.hessian, rtol=1e-10, atol=1e-11)
    one, other = (
        column_sums(block._replace(weight=times * 1.0), model),
        column_sums(repeated, model),
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("loss", "weights"), [(Logistic(), (2, 0.5)), (Multinomial(), (3, 1, 0))])
def test_class_weights_multiply_the_weights_of_their_rows(loss, weights):
    block, model, theta = make_problem(loss)
    classed = type(model)(loss, model.layout, model.outputs, tuple(map(float, weights)))
    by_hand = block._replace(weight=block.weight * np.array(weights)[block.target.astype(int)])
    for curvature in (False, True):
        one = swept(block, classed, theta, curvature=curvature)
        other = swept(by_hand, model, theta, curvature=curvature)
        assert one.loss == other.loss
        np.testing.assert_array_equal(one.gradient, other.gradient)
        np.testing.assert_array_equal(one.hessian, other.hessian)
    for a, b in zip(column_sums(block, classed), column_sums(by_hand, model), strict=True):
        np.testing.assert_array_equal(a, b)


@every_loss
@every_layout
def test_the_columns_sums_equal_those_over_explicit_columns(loss, layout):
    block, model, _ = make_problem(loss, layout)
    sums, X, w, y = column_sums(block, model), columns(block, layout), block.weight, block.target
    np.testing.assert_allclose(sums.squares, w @ (X[:, :-1] ** 2), rtol=1e-12)
    np.testing.assert_allclose(sums.target_squares, w @ y**2, rtol=1e-12)
    np.testing.assert_allclose(sums.weight, w.sum(), rtol=1e-13)
    by_class = np.eye(model.outputs)[y.astype(int)] if model.outputs > 1 else y[:, None]
    np.testing.assert_allclose(sums.target, w @ by_class, rtol=1e-12)


@every_loss
def test_float32_columns_are_summed_in_double_precision(loss):
    block, model, theta = make_problem(loss)
    single = block._replace(dense=block.dense.astype(np.float32))
    double = single._replace(dense=single.dense.astype(np.float64))
    for curvature in (False, True):
        one = swept(single, model, theta, curvature=curvature)
        other = swept(double, model, theta, curvature=curvature)
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-13)
        np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-11, atol=1e-11)
        if curvature:
            np.testing.assert_allclose(one.hessian, other.hessian, rtol=1e-11, atol=1e-11)


@every_loss
def test_a_chunk_without_rows_contributes_nothing(loss):
    block, model, theta = make_problem(loss)
    sums = swept(take(block, np.empty(0, int)), model, theta, curvature=True)
    assert (sums.loss, sums.weight) == (0.0, 0.0)
    assert not sums.gradient.any()
    assert not sums.hessian.any()


@every_loss
def test_sums_are_equal_to_the_byte_for_misaligned_transposed_and_read_only_arrays(loss):
    block, model, theta = make_problem(loss, Layout(7, (3, 5)), rows=1000)
    misaligned = np.frombuffer(b"x" + block.dense.tobytes(), np.uint8)[1:].view(np.float64)
    assert not misaligned.flags.aligned
    arrived = block._replace(dense=misaligned.reshape(block.dense.shape))
    transposed = block._replace(
        dense=np.asfortranarray(block.dense), codes=np.asfortranarray(block.codes)
    )
    shifted = block._replace(dense=np.concatenate([[[0.0] * 7], block.dense])[1:])
    for curvature in (False, True):
        one, *others = (
            swept(b, model, theta, curvature=curvature)
            for b in (block, arrived, transposed, shifted)
        )
        for other in others:
            assert one.gradient.tobytes() == other.gradient.tobytes()
            assert one.loss == other.loss
            if curvature:
                assert one.hessian.tobytes() == other.hessian.tobytes()


@every_loss
def test_threads_that_sweep_at_once_do_not_disturb_each_other(loss):
    problems = [make_problem(loss, rows=3000, seed=seed) for seed in range(4)]
    alone = [swept(*problem, curvature=True) for problem in problems]
    together: dict[int, list] = {}

    def work(number):
        together[number] = [swept(*problems[number], curvature=True) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(alone):
        for sums in together[number]:
            assert sums.loss == expected.loss
            assert sums.gradient.tobytes() == expected.gradient.tobytes()
            assert sums.hessian.tobytes() == expected.hessian.tobytes()


@every_loss
@pytest.mark.parametrize("curvature", [False, True])
def test_a_theta_that_is_not_finite_has_an_infinite_loss(loss, curvature):
    block, model, theta = make_problem(loss)
    for wrong in (np.nan, np.inf, -np.inf):
        theta[0] = wrong
        assert swept(block, model, theta, curvature=curvature).loss == np.inf


@pytest.mark.parametrize("curvature", [False, True])
@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_that_is_not_above_0_has_an_infinite_loss(scale, curvature):
    block, model, theta = make_problem(Huber())
    theta[-1] = scale
    sums = swept(block, model, theta, curvature=curvature)
    assert sums.loss == np.inf
    assert sums.weight == pytest.approx(block.weight.sum())


def test_a_pass_changes_none_of_its_arguments():
    block, model, theta = make_problem(Squared())
    before = [np.copy(array) for array in (*block[:4], *block.sparse, theta)]
    swept(block, model, theta, curvature=True)
    for array, copy in zip((*block[:4], *block.sparse, theta), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_design_with_sparse_columns_may_have_chunks_without():
    block, model, theta = make_problem(Logistic())
    empty = take(block, np.arange(500))._replace(sparse=None)
    explicit = columns(empty, FULL) @ theta
    np.testing.assert_allclose(linear_predictor(empty, model, theta), explicit, rtol=1e-12)
    sums = swept(empty, model, theta, curvature=True)
    assert not sums.gradient[12:19].any()
    assert not sums.hessian[12:19].any()


def test_importing_the_kernels_imports_no_compiler():
    script = "import sys, lepton_dask.learn.kernels; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@every_loss
def test_after_warming_up_no_pass_compiles(loss):
    warm_up(loss, curvature=True)
    block, model, theta = make_problem(loss)
    theta.flags.writeable = False
    from lepton_dask.learn.kernels import rows

    kinds = [rows.sweep, outputs.add_outputs, outputs.gather_outputs, hessian.scatter]
    before = [len(kind.signatures) for kind in kinds]
    swept(block, model, theta, curvature=True)
    linear_predictor(block, model, theta)
    assert [len(kind.signatures) for kind in kinds] == before


def test_kernels_are_kept_for_all_their_sources_and_not_for_one_file():
    from lepton_dask.learn.kernels import rows
    from lepton_dask.learn.kernels.sources import KERNELS

    assert rows.sweep._cache._cache_file._source_stamp == KERNELS.stamp


def test_where_no_folder_can_be_written_kernels_compile_and_are_not_kept(tmp_path):
    script = """
import os
os.access = lambda *_, **__: False
import tempfile
def refuse(*_, **__): raise OSError
tempfile.TemporaryFile = refuse
from lepton_dask.learn.kernels.elementary import exp
assert exp(0.0) == 1.0
"""
    run = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr


def test_blas_is_pinned_to_one_thread_for_the_whole_process():
    thread = threading.Thread(target=pin_blas)
    thread.start()
    thread.join()
    pools = threadpoolctl.threadpool_info()
    assert {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"} == {1}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", [*range(1, 10), 50])
def test_four_rows_at_a_time_take_every_column_of_any_width(width, dtype):
    random = np.random.default_rng(width)
    n = 37
    block = Block(
        random.standard_normal((n, width)).astype(dtype),
        np.zeros((n, 0), np.int32),
        random.standard_normal(n),
        random.random(n),
    )
    theta = random.standard_normal(width + 1)
    dense = block.dense.astype(np.float64)
    model = LinearModel(Squared(), Layout(width, ()))
    z = linear_predictor(block, model, theta)
    np.testing.assert_allclose(z, dense @ theta[:-1] + theta[-1], rtol=1e-12, atol=1e-12)
    gradient = sweep_block(block, model, theta).gradient
    residual = block.weight * (z - block.target)
    expected = np.append(dense.T @ residual, residual.sum())
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-12)


def test_a_row_that_overflows_spoils_the_sums_of_its_own_batch_alone():
    n, of = 61, 7
    dense = np.ones((n, 1))
    dense[n - 1] = 1e200
    block = Block(dense, np.zeros((n, 0), np.int32), np.zeros(n), np.ones(n))
    model = LinearModel(Squared(), Layout(1, ()))
    theta = np.array([1.0, 0.0])
    sums = [sweep_block(block, model, theta, rows=Batch(number, of)) for number in range(of)]
    assert [np.isinf(each.loss) for each in sums].count(True) == 1
    assert sum(each.weight for each in sums) == n


def test_an_installation_knows_which_losses_it_has_compiled(tmp_path, monkeypatch):
    source = tmp_path / "source.py"
    source.write_text("one")
    monkeypatch.setattr(warming, "KERNELS", Kept((source,)))
    assert not warming.is_compiled(Logistic())
    warm_up(Logistic())
    assert not warming.is_compiled(Logistic())
    warm_up(Logistic(), curvature=True)
    assert warming.is_compiled(Logistic())
    assert not warming.is_compiled(Poisson())
    source.write_text("another")
    monkeypatch.setattr(warming, "KERNELS", Kept((source,)))
    assert not warming.is_compiled(Logistic())


def test_one_process_compiles_at_a_time(tmp_path):
    source = tmp_path / "source.py"
    source.write_text("one")
    order = []

    def second():
        with Kept((source,)).making("it"):
            order.append("second")

    with Kept((source,)).making("it"):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


SWEPT = """
import hashlib
import numpy as np
from lepton_dask.learn.kernels import sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Logistic
from lepton_dask.matrix import Block, Layout
rng = np.random.default_rng(0)
n, P = 5000, 20
block = Block(
    rng.normal(size=(n, P)), np.zeros((n, 0), np.int32), rng.integers(0, 2, n) * 1.0, np.ones(n)
)
sums = sweep_block(block, LinearModel(Logistic(), Layout(P)), 0.1 * rng.normal(size=P + 1))
print(hashlib.sha256(sums.gradient.tobytes()).hexdigest())
"""


def test_bits_are_the_same_where_a_kernel_is_compiled_and_where_it_is_read_from_the_disk(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    found = [
        subprocess.run(
            [sys.executable, "-c", SWEPT],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc")), "nothing was kept"
    assert found[0] == found[1]
