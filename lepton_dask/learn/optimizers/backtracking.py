"""Backtracking from a step whose length the model already tells."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lepton_dask.learn.objective import Evaluation

SUFFICIENT_DECREASE = 1e-4
APPROXIMATE_DECREASE = 0.1
ROUNDING = 1e-10
"""Relative change of the objective that the approximate test takes for rounding."""

MAX_TRIALS = 30


@dataclass(frozen=True)
class Backtracking:
    """phi(t) = J(theta + t d) from t = 1 downwards, until the Armijo condition holds

        phi(t) <= phi(0) + c1 t phi'(0),  c1 = 1e-4

    (Nocedal, Wright: Numerical Optimization, 2nd ed., 3.1) or, where differences of phi are
    rounding, the upper half of the approximate Wolfe conditions of Hager and Zhang (2005, 4.1),
    which reads slopes instead: phi'(t) <= (2 delta - 1) phi'(0), phi(t) <= phi(0) + eps |phi(0)|.

    With l1, `slope` is the decrease that the model promises a step of 1, which bounds phi'(0) (Lee,
    Sun, Saunders: Proximal Newton-Type Methods, SIAM J. Optim. 2014, 2.4).
    """

    value: float
    slope: float
    step: float = 1.0
    trials: int = 0

    def accepts(self, evaluation: Evaluation, slope: float) -> bool:
        """Whether the evaluation at `step`, whose slope along d is `slope`, ends the search."""
        if not (evaluation.finite and math.isfinite(slope)):
            return False
        if evaluation.value <= self.value + SUFFICIENT_DECREASE * self.step * self.slope:
            return True
        level = slope <= (2 * APPROXIMATE_DECREASE - 1) * self.slope
        return level and evaluation.value <= self.value + ROUNDING * abs(self.value)

    def shorter(self, evaluation: Evaluation, slope: float) -> Backtracking | None:
        """The search after a step that was not accepted; None once it has taken too many.

        The next step is where the secant of the two slopes meets 0, between a tenth and a half of
        the last; a tenth where the objective is not finite.
        """
        if self.trials + 1 == MAX_TRIALS:
            return None
        share = 0.1
        if evaluation.finite and math.isfinite(slope) and slope > self.slope:
            share = min(max(self.slope / (self.slope - slope), 0.1), 0.5)
        return replace(self, step=share * self.step, trials=self.trials + 1)
