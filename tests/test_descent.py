"""The training loop, in memory: what it records, and what ends it."""

import numpy as np
import pytest
from in_memory import BlockPasses, make_block, split_block
from pydantic import ValidationError

from lepton_dask.errors import Interrupted
from lepton_dask.learn.descent import descend
from lepton_dask.learn.goal import Goal
from lepton_dask.learn.objective import Evaluation, NullModel
from lepton_dask.learn.optimizers import GradientDescent, Lbfgs
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.train import EarlyStopping, Train, train_mistakes

LEVELS = (3, 5)


def make_passes(loss="logistic", l2=0.02):
    block = make_block(rows=400, loss=loss)
    *training, validation = split_block(block, [90, 90, 300])
    return BlockPasses(training, LEVELS, loss, l2, validation=validation)


class OneParameter(BlockPasses):
    """J(theta) = theta^2 / 2 from 8, with the validation loss and metric as functions of theta."""

    def __init__(self, validation=None, metric=None):
        self.count = 0
        self.validation_loss_at, self.metric_at = validation, metric

    def null_model(self):
        return NullModel(np.array([8.0]), np.array([1.0]))

    def evaluate(self, query):
        self.count += 1
        theta = query.theta
        with np.errstate(over="ignore"):
            return Evaluation(theta, 0.5 * float(theta[0] ** 2), theta)

    def validation_loss(self, theta):
        return self.validation_loss_at(float(theta[0]))

    def validation_metric(self, theta, metric):
        assert metric == "accuracy"
        return self.metric_at(float(theta[0]))


def rules(**changes):
    return Train(**{"loss": "logistic", "tolerance": 0.0, "max_passes": 50, **changes})


halving = GradientDescent(learning_rate=0.5)  # theta: 8, 4, 2, 1, ...


def test_it_stops_within_tolerance():
    passes = make_passes()
    result = descend(rules(tolerance=1e-7), Lbfgs(), passes)
    assert result.stopped.code == "tolerance"
    assert "within tolerance 1e-07" in result.stopped.reason
    assert passes.evaluate(Query(result.theta)).gradient_norm <= 1e-7
    assert result.optimizer == "lbfgs"


@pytest.mark.parametrize("optimizer", [Lbfgs(), GradientDescent()])
def test_it_spends_max_passes_and_not_one_more(optimizer):
    passes = make_passes()
    result = descend(rules(max_passes=5), optimizer, passes)
    assert result.stopped.code == "max_passes"
    assert result.passes == passes.count == 5


def test_as_many_passes_are_as_many_steps_of_a_fixed_rate():
    result = descend(rules(max_passes=3), halving, OneParameter())
    assert (result.iterations, result.passes) == (3, 3)
    assert result.theta == [1.0]
    assert [record.loss for record in result.history] == [32.0, 8.0, 2.0]


def test_the_history_has_a_record_an_iteration_and_the_listener_hears_it():
    heard = []
    result = descend(rules(max_passes=4), halving, OneParameter(), on_iteration=heard.append)
    assert list(result.history) == heard
    assert [record.iteration for record in heard] == [0, 1, 2, 3]
    assert [record.passes for record in heard] == [1, 2, 3, 4]
    assert [record.gradient_norm for record in heard] == [8.0, 4.0, 2.0, 1.0]
    assert [record.validation for record in heard] == [None] * 4
    assert np.all(np.diff([record.seconds for record in heard]) >= 0)


def test_a_goal_stops_training_as_soon_as_the_validation_part_meets_it():
    passes = OneParameter(metric=lambda theta: 1 - theta / 10)
    train = rules(goal=Goal(metric="accuracy", at_least=0.75))
    result = descend(train, halving, passes)
    assert result.stopped.code == "goal"
    assert result.stopped.reason == "the goal is met: accuracy at least 0.75 (validation: 0.8)"
    assert result.theta == [2.0]
    assert [record.validation for record in result.history] == pytest.approx([0.2, 0.6, 0.8])


def test_a_goal_on_an_undefined_metric_is_not_met():
    train = rules(goal=Goal(metric="accuracy", at_least=0.0), max_passes=3)
    result = descend(train, halving, OneParameter(metric=lambda _: None))
    assert result.stopped.code == "max_passes"
    assert [record.validation for record in result.history] == [None] * 3


def test_early_stopping_waits_its_patience_and_returns_the_best_parameters():
    passes = OneParameter(validation=lambda theta: abs(theta - 2))
    result = descend(rules(early_stopping=EarlyStopping(patience=3)), halving, passes)
    assert result.stopped.code == "early_stopping"
    assert result.theta == [2.0]
    assert result.passes == 6
    assert [record.validation for record in result.history] == [6, 2, 0, 1, 1.5, 1.75]
    assert "iteration 2" in result.stopped.reason


def test_early_stopping_returns_the_best_parameters_whatever_ended_training():
    passes = OneParameter(validation=lambda theta: abs(theta - 4))
    train = rules(early_stopping=EarlyStopping(patience=30), max_passes=5)
    result = descend(train, halving, passes)
    assert result.stopped.code == "max_passes"
    assert result.theta == [4.0]


def test_a_goal_wins_over_the_best_parameters_of_early_stopping():
    passes = OneParameter(validation=lambda theta: 9 - theta, metric=lambda theta: 1 - theta / 10)
    train = rules(
        early_stopping=EarlyStopping(patience=9), goal=Goal(metric="accuracy", at_least=0.85)
    )
    assert descend(train, halving, passes).theta == [1.0]


def test_lbfgs_that_cannot_improve_further_is_stalled_not_failed():
    passes = make_passes()
    result = descend(rules(max_passes=500), Lbfgs(), passes)
    assert result.stopped.code == "stalled"
    assert passes.evaluate(Query(result.theta)).gradient_norm < 1e-10


def test_row_60_a_rate_that_diverges_is_halved_until_the_fit_converges():
    result = descend(
        rules(max_passes=5000, tolerance=1e-6), GradientDescent(learning_rate=7.0), OneParameter()
    )
    assert result.stopped.code == "tolerance"


def test_row_60_a_rate_that_no_halving_saves_has_diverged():
    passes = make_passes("squared")
    train = rules(max_passes=5000).model_copy(update={"loss": "squared"})
    result = descend(train, GradientDescent(learning_rate=1e30), passes)
    assert result.stopped.code == "diverged"


def test_an_objective_that_only_rose_has_diverged():
    result = descend(rules(max_passes=5), GradientDescent(learning_rate=3.0), OneParameter())
    assert result.stopped.code == "diverged"
    assert "rose from 32 to" in result.stopped.reason


def test_an_objective_that_is_not_finite_at_the_start_has_diverged():
    passes = make_passes()
    passes.blocks[0].target[0] = np.inf
    result = descend(rules(), Lbfgs(), passes)
    assert result.stopped.code == "diverged"
    assert result.history == ()


def test_the_check_may_end_training_before_any_pass():
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted(2)

    passes = OneParameter()
    with pytest.raises(Interrupted):
        descend(rules(), halving, passes, check=check)
    assert passes.count == 2


def test_the_seed_decides_a_random_start():
    random = GradientDescent(learning_rate=0.1, start="random")
    one, again, other = (
        descend(rules(max_passes=2), random, make_passes(), seed=seed).theta for seed in (1, 1, 2)
    )
    assert one.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ({"metric": "roc_auc"}, "give either at_least or at_most"),
        ({"metric": "roc_auc", "at_least": 0.9, "at_most": 1}, "give either at_least or at_most"),
        ({"metric": "auc", "at_least": 0.9}, "'roc_auc' or"),
        ({"metric": "rmse", "at_least": 0.9}, "rmse falls as a model gets better: give at_most"),
        ({"metric": "r2", "at_most": 0.9}, "r2 rises as a model gets better: give at_least"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(goal, words):
    with pytest.raises(ValidationError, match=words):
        Train(loss="logistic", goal=goal)


def test_every_mistake_of_a_train_node_is_told_with_its_place():
    train = Train(
        loss="squared",
        penalty={"l1": 0.1},
        optimizer="lbfgs",
        goal={"metric": "roc_auc", "at_least": 0.9},
        early_stopping={"patience": 3},
    )
    told = {
        mistake.path: str(mistake) for mistake in train_mistakes(train, ("train",), ("a", "train"))
    }
    assert told[("a", "train", "optimizer")] == (
        "optimizer: lbfgs needs a smooth objective, and l1 is not; "
        "use optimizer: prox_newton, or l2 in the place of l1"
    )
    assert told[("a", "train", "goal", "metric")] == (
        "metric: roc_auc needs a two-class target; the loss is squared"
    )
    assert "needs a validation part" in told[("a", "train", "goal")]
    assert "needs a validation part" in told[("a", "train", "early_stopping")]
    good = Train(loss="logistic", goal={"metric": "roc_auc", "at_least": 0.9})
    assert train_mistakes(good, ("train", "validation"), ("a", "train")) == ()


def test_a_random_start_leaves_no_noise_in_what_no_row_has():
    block = make_block(rows=50, loss="squared", levels=(3,))
    block.codes[:] %= 2  # the third level is nobody's
    passes = BlockPasses([block], (3,), "squared")
    random = GradientDescent(learning_rate=0.1, start="random")
    result = descend(rules(loss="squared", max_passes=5), random, passes, seed=4)
    assert result.theta[6] == 0.0
    assert np.all(result.theta[:6] != 0.0)
