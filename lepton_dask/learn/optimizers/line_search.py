"""A line search along a descent direction of a convex function, one evaluation at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9
APPROXIMATE_DECREASE = 0.1
ROUNDING = 1e-10
"""Relative change of the objective that the approximate test takes for rounding."""

LARGEST_GROWTH = 10.0
EDGE = 0.1
"""A trial keeps this share of the bracket away from its ends, so that brackets shrink."""

MAX_TRIALS = 25


@dataclass(frozen=True)
class LineSearch:
    """phi(t) = J(theta + t d), searched for a t that satisfies the strong Wolfe conditions

        phi(t) <= phi(0) + c1 t phi'(0),  |phi'(t)| <= c2 |phi'(0)|,  c1 = 1e-4, c2 = 0.9

    (Nocedal, Wright: Numerical Optimization, 2nd ed., 3.7) or, near the minimum, where differences
    of phi are rounding, the approximate Wolfe conditions, which read slopes instead

        (2 delta - 1) phi'(0) >= phi'(t) >= c2 phi'(0),  phi(t) <= phi(0) + eps |phi(0)|

    (Hager, Zhang: A New Conjugate Gradient Method with Guaranteed Descent and an Efficient Line
    Search, SIAM J. Optim. 2005, 4.1). The minimum lies between `low`, where the slope is negative,
    and `high`; trials are secant steps on the slopes, kept inside the bracket.

    `step` is the t to be evaluated next.
    """

    value: float
    slope: float
    step: float
    low: float = 0.0
    low_slope: float = math.nan
    high: float = math.inf
    high_slope: float = math.nan
    trials: int = 0

    def accepts(self, value: float, slope: float) -> bool:
        """Whether phi(step) = value, phi'(step) = slope end the search."""
        if not (math.isfinite(value) and math.isfinite(slope)):
            return False
        bound = self.value + SUFFICIENT_DECREASE * self.step * self.slope
        if value <= bound and abs(slope) <= CURVATURE * abs(self.slope):
            return True
        steep = (2 * APPROXIMATE_DECREASE - 1) * self.slope >= slope >= CURVATURE * self.slope
        return steep and value <= self.value + ROUNDING * abs(self.value)

    def after(self, value: float, slope: float) -> LineSearch | None:
        """The search after a step that was not accepted; None once it has taken too many."""
        if self.trials + 1 == MAX_TRIALS:
            return None
        low_slope = self.slope if math.isnan(self.low_slope) else self.low_slope
        search = replace(self, trials=self.trials + 1, low_slope=low_slope)
        if not (math.isfinite(value) and math.isfinite(slope)):
            search = replace(search, high=self.step, high_slope=math.nan)
        elif slope >= 0 or value > self.value + ROUNDING * abs(self.value):
            search = replace(search, high=self.step, high_slope=slope)
        else:
            search = replace(search, low=self.step, low_slope=slope)
            if math.isinf(search.high):
                return replace(search, step=_beyond(self.low, low_slope, self.step, slope))
        return replace(search, step=search._between())

    def _between(self) -> float:
        """A point of the bracket: the zero of the slopes' secant, or the middle."""
        width = self.high - self.low
        middle = self.low + 0.5 * width
        # Every third trial halves the bracket, so that it shrinks whatever the secant does.
        if not self.high_slope > 0 or self.trials % 3 == 0:
            return middle
        secant = self.low + width * self.low_slope / (self.low_slope - self.high_slope)
        return min(max(secant, self.low + EDGE * width), self.high - EDGE * width)


def _beyond(low: float, low_slope: float, step: float, slope: float) -> float:
    """A longer step: where the secant of two negative slopes meets zero, within bounds."""
    if slope <= low_slope:
        return LARGEST_GROWTH * step
    secant = step + (step - low) * slope / (low_slope - slope)
    return min(max(secant, 2 * step), LARGEST_GROWTH * step)
