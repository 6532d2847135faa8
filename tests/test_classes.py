"""Priority classes."""

from __future__ import annotations

import pytest

from lepton_dask.resources.classes import classify


@pytest.mark.parametrize("level", ["low", "normal", "high", "critical"])
def test_a_word_is_its_own_class(level):
    assert classify(level).name == level


def test_numbers_from_one_to_nine_never_lower_the_class():
    order = [classify(level).dask_priority for level in range(1, 10)]
    assert order == sorted(order)
    assert {classify(level).name for level in range(1, 10)} == {"low", "normal", "high", "critical"}


def test_what_is_urgent_goes_before_what_is_only_important():
    assert classify("low", urgency="critical") == classify("critical")
    assert classify("high", urgency="low") == classify("high")


def test_normal_is_what_dask_gives_to_everybody():
    assert classify("normal").dask_priority == 0
