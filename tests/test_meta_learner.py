"""`MetaLearner` on pandas and Dask DataFrames."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client

import lepton_dask
from lepton_dask import MetaLearner
from lepton_dask.errors import RunError, UserError
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear

T, N = 40, 30


@pytest.fixture(scope="module")
def frame():
    """Groups of an intercept ~ N(5, 1.5^2) and a slope ~ N(.2, .05^2) of x ~ N(100, 15^2)."""
    rng = np.random.default_rng(2)
    group = np.repeat([f"g{t:02d}" for t in range(T)], N)
    own = np.repeat(rng.normal([5.0, 0.2], [1.5, 0.05], (T, 2)), N, axis=0)
    x = rng.normal(100, 15, T * N)
    y = own[:, 0] + own[:, 1] * (x - 100) + rng.normal(0, 0.5, T * N)
    kind = rng.choice(["a", "b"], T * N)
    return pd.DataFrame({"x": x, "kind": kind, "group": group, "y": y})


def learner(**options):
    return MetaLearner(**{"target": "y", "group": "group", "features": ["x"]} | options)


@pytest.fixture(scope="module")
def learnt(frame):
    return learner().fit(frame)


def of_group(intercept, slope, n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(100, 15, n)
    y = intercept + slope * (x - 100) + rng.normal(0, 0.5, n)
    return pd.DataFrame({"x": x, "y": y})


def test_mean_and_covariance_are_those_of_the_groups_own_lines_in_the_columns_units(frame, learnt):
    lines = np.array([np.polyfit(own.x, own.y, 1)[::-1] for _, own in frame.groupby("group")])
    assert list(learnt.mean_.index) == ["(intercept)", "x"]
    assert learnt.mean_.to_numpy() == pytest.approx(lines.mean(axis=0), rel=0.05, abs=0.3)
    noise = 0.5**2 / (N * 15**2)
    spread = learnt.covariance_.loc["x", "x"]
    assert spread == pytest.approx(lines[:, 1].var() - noise, rel=0.2)
    assert learnt.residual_sd_ == pytest.approx(0.5, rel=0.1)


def test_a_random_intercept_agrees_with_statsmodels(frame):
    mixed = pytest.importorskip("statsmodels.formula.api").mixedlm
    found = learner(random="intercept").fit(frame)
    expected = mixed("y ~ x", frame, groups=frame.group).fit(reml=False)
    assert found.mean_.to_numpy() == pytest.approx(expected.fe_params.to_numpy(), rel=1e-3)
    sd = float(np.sqrt(found.covariance_.loc["(intercept)", "(intercept)"]))
    assert sd == pytest.approx(np.sqrt(expected.cov_re.to_numpy().item()), rel=1e-2)
    assert found.residual_sd_ == pytest.approx(np.sqrt(expected.scale), rel=1e-3)
    assert found.covariance_.loc["x", "x"] == 0


def test_adapting_to_few_rows_beats_what_is_known_without_them(learnt):
    known, asked = of_group(9.0, 0.3, 5), of_group(9.0, 0.3, 200, seed=1)
    model = learnt.adapt(known)
    error = np.sqrt(np.mean((model.predict(asked[["x"]]) - asked.y) ** 2))
    unknown = np.sqrt(np.mean((learnt.model_.predict(asked[["x"]]) - asked.y) ** 2))
    assert error < 0.8
    assert unknown > 2.0
    assert model.prior is None


def test_the_comparison_has_every_model_at_every_number_of_shots(learnt):
    table = learnt.comparison_
    assert list(table.columns) == ["shots", "model", "rmse", "low", "high", "groups"]
    assert set(table.shots) == {5, 10, 20}
    assert set(table.model) == {"hierarchical_linear", "pooled", "independent"}
    assert learnt.kept_ == table.groupby("model").rmse.mean().idxmin()
    assert learnt.stopped_.split(":")[0] in {"converged", "patience"}
    assert (learnt.history_["score"].cummin() == learnt.history_.best).all()


def test_dask_partitions_give_what_pandas_gives(frame, learnt, scheduler):
    shuffled = frame.sample(frac=1.0, random_state=0)
    partitions = dd.from_pandas(shuffled.reset_index(drop=True), npartitions=5)
    alone = learner().fit(partitions)
    with Client(scheduler):
        spread = learner().fit(partitions)
    for found in (alone, spread):
        assert found.mean_.to_numpy() == pytest.approx(learnt.mean_.to_numpy(), rel=1e-4)
        assert found.residual_sd_ == pytest.approx(learnt.residual_sd_, rel=1e-5)
    assert spread.mean_.tolist() == alone.mean_.tolist()


def test_learning_on_with_more_groups_is_learning_from_all(frame, scheduler):
    early, late = frame[frame.group < "g30"], frame[frame.group >= "g30"]
    # Units are those of the first fit: tight rounds, so that both end at the same maximum.
    exact = HierarchicalLinear(tolerance=1e-9)
    whole = learner(algorithm=exact, max_rounds=3000, patience=3000).fit(frame)
    more = learner(algorithm=exact, max_rounds=3000, patience=3000).fit(early).partial_fit(late)
    assert more.mean_.to_numpy() == pytest.approx(whole.mean_.to_numpy(), rel=0.02)
    assert more.residual_sd_ == pytest.approx(whole.residual_sd_, rel=1e-2)
    with Client(scheduler):
        spread = learner(algorithm=exact, max_rounds=3000, patience=3000)
        spread.fit(dd.from_pandas(early, npartitions=3)).partial_fit(late)
    assert spread.mean_.to_numpy() == pytest.approx(more.mean_.to_numpy(), rel=1e-6)


def test_rows_of_a_known_group_that_come_later_are_the_groups(frame):
    first = frame.groupby("group").head(N // 2)
    rest = frame.drop(first.index)
    more = learner().fit(first).partial_fit(rest)
    assert len(more._fitted.counts) == T
    assert more.mean_.to_numpy() == pytest.approx(learner().fit(frame).mean_.to_numpy(), rel=0.02)


def test_partial_fit_without_a_fit_begins(frame, learnt):
    begun = learner().partial_fit(frame)
    assert begun.mean_.tolist() == learnt.mean_.tolist()


def test_categories_missing_numbers_and_booleans_are_prepared(frame):
    rng = np.random.default_rng(0)
    flag = rng.random(len(frame)) < 0.5
    messy = frame.assign(
        x=frame.x.mask(rng.random(len(frame)) < 0.1),
        flag=flag,
        kind=frame.kind.astype("category"),
        y=frame.y + 2 * (frame.kind == "b") + flag,
    )
    found = MetaLearner(target="y", group="group", random="intercept").fit(messy)
    mean = found.mean_
    assert mean["kind=b"] - mean["kind=a"] == pytest.approx(2, abs=0.4)
    assert mean["flag"] == pytest.approx(1, abs=0.4)
    assert np.isfinite(found.adapt(messy[messy.group == "g03"]).predict(messy)).all()


def test_two_labels_are_learnt_by_the_logistic_loss(frame):
    labelled = frame.assign(y=np.where(frame.y > 5, "yes", "no"))
    found = learner(loss="logistic").fit(labelled)
    model = found.adapt(labelled[labelled.group == "g05"])
    own = labelled[labelled.group == "g05"]
    assert model.classes == ("no", "yes")
    assert np.mean(model.predict(own) == own.y) > 0.8
    assert "log_loss" in found.comparison_


def test_a_saved_learner_adapts_where_it_is_loaded(learnt, tmp_path):
    learnt.save(tmp_path / "bundle")
    known = of_group(2.0, 0.1, 6)
    there = lepton_dask.adapt(lepton_dask.load(tmp_path / "bundle"), known)
    assert there.coefficient_array.tolist() == learnt.adapt(known).coefficient_array.tolist()
    assert not list((tmp_path / "bundle").rglob("*.pkl"))


def test_a_goal_may_be_a_number(frame):
    assert learner(goal=3.0).fit(frame).stopped_.startswith("goal")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algorithm": "mamll"}, "unknown 'mamll'; did you mean 'maml'"),
        ({"target": "z"}, "unknown column 'z'"),
        ({"group": "grup"}, "did you mean 'group'"),
        ({"features": ["x", "xx"]}, "unknown column 'xx'"),
        ({"shots": 0}, "shots"),
        ({"random": ["kind"]}, "nothing is learnt from 'kind'"),
        ({"algorithm": "maml", "random": "intercept"}, "all of a network"),
        ({"target": "kind"}, "kind"),
    ],
)
def test_what_is_asked_wrong_is_said(frame, options, words):
    with pytest.raises(UserError, match=words):
        learner(**options).fit(frame)


def test_columns_whose_names_are_no_texts_are_refused(frame):
    with pytest.raises(UserError, match="called 0, which is no text"):
        MetaLearner(target="y", group="group").fit(frame.rename(columns={"x": 0}))


def test_too_few_groups_are_an_error(frame):
    with pytest.raises(RunError, match="2 groups"):
        learner().fit(frame[frame.group < "g02"])


def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(TypeError, match="expected a pandas or Dask DataFrame, found ndarray"):
        learner().fit(frame.to_numpy())


def test_adapting_before_learning_is_refused(frame):
    with pytest.raises(UserError, match="call fit first"):
        learner().adapt(frame)


def test_rows_of_two_groups_are_refused(frame, learnt):
    with pytest.raises(UserError, match="rows are of 40 groups"):
        learnt.adapt(frame)
