"""The optimum that all are measured by: plain Newton in numpy, which shares no code with any arm.

J(theta) = mean of the logistic loss + (l2 / 2) |b|^2, the intercept (last in theta) free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import Chunk, Problem

Floats = NDArray[np.float64]

NEAR = 1e-6
"""The sub-optimality (J - J*) / J* that every answer has to reach."""

STEPS = 50
ROWS = 1 << 14


class Optimum:
    """J* of a problem of dense columns alone, and how far any theta is from it."""

    def __init__(self, problem: Problem, l2: float) -> None:
        self.l2 = l2
        self._rows = problem.whole()
        self.theta = self._newton()
        self.value = objective(self._rows, self.theta, l2)

    def suboptimality(self, theta: Floats) -> float:
        return (objective(self._rows, theta, self.l2) - self.value) / self.value

    def agree(self, answers: Mapping[str, Any]) -> dict[str, str | None]:
        """The `Agree` of cases whose answers are thetas."""
        return {name: self._problem(theta) for name, theta in answers.items()}

    def _problem(self, theta: Floats) -> str | None:
        gap = self.suboptimality(theta)
        return None if gap <= NEAR else f"its objective is {gap:.2g} above the optimum"

    def _newton(self) -> Floats:
        theta = np.zeros(self._rows.dense.shape[1] + 1)
        value = objective(self._rows, theta, self.l2)
        for _ in range(STEPS):
            gradient, hessian = self._derivatives(theta)
            step = np.linalg.solve(hessian, gradient)
            decrement = float(gradient @ step)
            length = 1.0
            while (after := objective(self._rows, theta - length * step, self.l2)) > value:
                length /= 2
                if length < 1e-8:
                    return theta
            theta, value = theta - length * step, after
            if decrement < 1e-15 * value:
                return theta
        raise RuntimeError("Newton's method found no optimum")

    def _derivatives(self, theta: Floats) -> tuple[Floats, Floats]:
        D = len(theta) - 1
        gradient, hessian = np.zeros(D + 1), np.zeros((D + 1, D + 1))
        for rows in _pieces(len(self._rows.target)):
            x = np.column_stack([self._rows.dense[rows], np.ones(rows.stop - rows.start)])
            p = 1 / (1 + np.exp(-(x @ theta)))
            gradient += x.T @ (p - self._rows.target[rows])
            hessian += (x * (p * (1 - p))[:, None]).T @ x
        n = len(self._rows.target)
        gradient, hessian = gradient / n, hessian / n
        gradient[:D] += self.l2 * theta[:D]
        hessian[np.arange(D), np.arange(D)] += self.l2
        return gradient, hessian


def objective(rows: Chunk, theta: Floats, l2: float, levels: tuple[int, ...] = ()) -> float:
    """J at theta: the coefficients of the dense columns, of the levels of each code column in
    turn, and the intercept."""
    P = rows.dense.shape[1]
    if P + sum(levels) != len(theta) - 1:
        raise ValueError(f"{len(theta)} parameters for {P} columns and {sum(levels)} levels")
    offsets = P + np.cumsum([0, *levels])[:-1]
    total = 0.0
    for piece in _pieces(len(rows.target)):
        z = rows.dense[piece] @ theta[:P] + theta[-1]
        for q, offset in enumerate(offsets):
            z += theta[offset + rows.codes[piece, q]]
        total += float(np.sum(np.logaddexp(0, z) - rows.target[piece] * z))
    return total / len(rows.target) + l2 / 2 * float(theta[:-1] @ theta[:-1])


def _pieces(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS))
