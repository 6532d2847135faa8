"""The portfolio of winners: whose come first, and what is left out."""

from __future__ import annotations

import json

import pytest

from lepton_dask.learn.search.portfolio import (
    DataProfile,
    Entry,
    read_portfolio,
    starts,
    write_portfolio,
)
from lepton_dask.learn.search.space import space_of
from lepton_dask.learn.train import Train

HERE = DataProfile("logistic", 10_000, 50, 0.5, 0.1, 0.3)


def entry(winner: dict[str, object], **changes: object) -> Entry:
    fields = {
        "loss": HERE.loss, "rows": HERE.rows, "features": HERE.features,
        "categories": HERE.categories, "missing": HERE.missing, "rarest": HERE.rarest,
    }  # fmt: skip
    profile = DataProfile(**{**fields, **changes})
    return Entry("2026-08-01", "one", profile, "roc_auc", 0.9, winner)


def space(document: dict[str, object]):
    return space_of(
        Train.model_validate(
            {"loss": "logistic", "search": {"space": document, "metric": "roc_auc"}}
        )
    )


L2 = space({"penalty.l2": {"log": (1e-6, 1.0)}})


def test_the_nearest_profile_comes_first_and_another_loss_last():
    entries = [
        entry({"penalty.l2": 1e-5}, loss="squared"),
        entry({"penalty.l2": 1e-4}, features=50_000),
        entry({"penalty.l2": 1e-3}, features=60),
    ]
    points = starts(entries, HERE, L2, seed=0)
    assert [point["penalty.l2"] for point in points] == [1e-3, 1e-4, 1e-5]


def test_a_penalty_is_carried_as_the_prior_that_it_is():
    """Beside the mean of twice as many losses, half of it is as much."""
    [point] = starts([entry({"penalty.l2": 1e-3}, rows=5_000)], HERE, L2, seed=0)
    assert point["penalty.l2"] == pytest.approx(5e-4)
    [point] = starts([entry({"penalty.l2": 0.5}, rows=10**9)], HERE, L2, seed=0)
    assert point["penalty.l2"] == 1.0  # the end of its range


def test_at_most_three_begin_and_near_doubles_count_once():
    entries = [entry({"penalty.l2": l2}) for l2 in (1e-3, 1.1e-3, 1e-2, 1e-1, 1e-5)]
    points = starts(entries, HERE, L2, seed=0)
    assert [point["penalty.l2"] for point in points] == [1e-3, 1e-2, 1e-1]


def test_what_lies_outside_the_space_or_searched_another_field_is_left_out():
    entries = [
        entry({"penalty.l2": 7.0}),
        entry({"tolerance": 1e-3}),
        entry({"penalty.l2": 1e-3, "tolerance": 1e-3}),
        entry({}),
        entry({"penalty.l2": 0.5}),
    ]
    assert starts(entries, HERE, L2, seed=0) == ({"penalty.l2": 0.5},)


def test_a_field_that_the_entry_did_not_search_is_as_sampled():
    both = space(
        {"penalty.l2": {"log": (1e-6, 1.0)}, "optimizer": {"choices": ("lbfgs", "newton")}}
    )
    [point] = starts([entry({"penalty.l2": 1e-3})], HERE, both, seed=5)
    assert point == {"penalty.l2": 1e-3, "optimizer": both.sampled(5, 0)["optimizer"]}


def test_the_file_is_plain_json_that_comes_back_as_it_was():
    entries = (entry({"penalty.l2": 1e-3, "features": ("^.*$", "age")}), entry({"penalty.l2": 1.0}))
    text = write_portfolio(entries)
    assert json.loads(text)["searches"][0]["winner"] == {
        "penalty.l2": 1e-3,
        "features": ["^.*$", "age"],
    }
    assert read_portfolio(text) == entries


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"searches": [{"finished": 3}]}'])
def test_a_file_that_is_no_portfolio_is_a_value_error(text):
    with pytest.raises(ValueError, match=r".+"):
        read_portfolio(text)
