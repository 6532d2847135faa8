"""What a peer's training comes to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fit:
    """theta: the coefficients, then the intercept. `iterations` is None where nobody counts."""

    theta: NDArray[np.float64]
    seconds: float
    iterations: int | None
