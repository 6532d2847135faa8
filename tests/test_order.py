"""The order of steps, without a cluster."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.run.order import Release, Start, begin, finished


def test_steps_that_do_not_wait_for_each_other_start_together():
    walk, instructions = begin({"read": (), "quick": ("read",), "sparse": ("read",)})
    assert instructions == (Start("read"),)
    walk, instructions = finished(walk, "read")
    assert instructions == (Start("quick"), Start("sparse"))


def test_a_result_is_released_when_its_last_user_is_done_and_not_before():
    walk, _ = begin(
        {"read": (), "quick": ("read",), "sparse": ("read",), "best": ("quick", "sparse")}
    )
    walk, _ = finished(walk, "read")
    walk, instructions = finished(walk, "quick")
    assert instructions == ()
    walk, instructions = finished(walk, "sparse")
    assert instructions == (Release("read"), Start("best"))
    walk, instructions = finished(walk, "best")
    assert instructions == (Release("quick"), Release("sparse"), Release("best"))
    assert walk.is_over


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 8))
    return {f"s{i}": tuple(f"s{j}" for j in range(i) if draw(st.booleans())) for i in range(size)}


@given(graphs(), st.randoms(use_true_random=False))
def test_every_step_starts_once_after_its_inputs_and_every_result_is_released_once(graph, random):
    walk, instructions = begin(graph)
    started, released = [], []
    while True:
        for instruction in instructions:
            if isinstance(instruction, Start):
                assert set(graph[instruction.step]) <= walk.done
                assert not set(graph[instruction.step]) & set(released)
                started.append(instruction.step)
            else:
                released.append(instruction.step)
        if walk.is_over:
            break
        walk, instructions = finished(walk, random.choice(sorted(walk.running)))
    assert sorted(started) == sorted(released) == sorted(graph)
