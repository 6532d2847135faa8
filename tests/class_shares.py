"""Hypothesis strategies: classes whose guarantees can be kept, and what they ask for."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from lepton_dask.resources.classes import Classes, ClassShare

MANY = settings(max_examples=300, derandomize=True, deadline=None)

HUNDREDTHS = st.integers(0, 100)


@st.composite
def classes(draw: st.DrawFn, least: int = 1, most: int = 6) -> Classes:
    """Guarantees in hundredths that add up to 1 at most, maxima above them, any weights."""
    count = draw(st.integers(least, most))
    left, shares = 100, []
    for i in range(count):
        guaranteed = draw(st.integers(0, left))
        left -= guaranteed
        other = draw(st.integers(0, guaranteed))
        reserve, minimum = draw(st.permutations([guaranteed, other]))
        maximum = draw(st.integers(max(guaranteed, 1), 100))
        weight = draw(st.sampled_from([1, 2, 4, 8]) | st.floats(0.01, 100))
        shares.append(
            ClassShare(f"c{i}", weight, reserve / 100, minimum / 100, maximum / 100),
        )
    return Classes(tuple(shares))


@st.composite
def demands(draw: st.DrawFn, of: Classes, most: int = 60) -> dict[str, int]:
    return {name: draw(st.integers(0, most)) for name in of.names}
