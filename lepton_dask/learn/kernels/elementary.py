"""exp and log1p as straight lines of arithmetic, so that LLVM makes loops over them SIMD loops.

The C library's are calls, one number at a time; on a narrow matrix they would cost more than the
matrix. Both are within three units in the last place of the exact result.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lepton_dask.learn.kernels.compiler import kernel

inlined = kernel(inline=True)
# Nothing here may be reordered: SHIFTER would not survive.

LOG2_E = 1.0 / math.log(2.0)
LN2_HIGH = 6.93147180369123816490e-01  # its last 32 bits are 0: an integer times it is exact
LN2_LOW = 1.90821492927058770002e-10
SHIFTER = 1.5 * 2.0**52
"""x + SHIFTER holds the integer nearest to x in its last bits."""

EXP_SERIES = tuple(float(Fraction(1, math.factorial(k))) for k in range(14))
ATANH_SERIES = tuple(1.0 / (2 * k + 1) for k in range(12))


@inlined
def exp(x: float) -> float:
    """e^x: x = n log 2 + r with |r| <= log(2) / 2, then 2^n times the Taylor series of e^r.

    2^n is multiplied in two halves, so that results below 2.2e-308 are gradual and those above
    1.8e308 are infinite; NaN stays NaN.
    """
    x = 710.0 if x > 710.0 else x
    x = -760.0 if x < -760.0 else x
    shifted = x * LOG2_E + SHIFTER
    n = shifted - SHIFTER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    c = EXP_SERIES
    r2 = r * r
    r4 = r2 * r2
    # Estrin's scheme but for the first terms, which decide the rounding.
    low = (c[2] + c[3] * r) + (c[4] + c[5] * r) * r2
    middle = (c[6] + c[7] * r) + (c[8] + c[9] * r) * r2
    high = (c[10] + c[11] * r) + (c[12] + c[13] * r) * r2
    series = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
    half_shifted = n * 0.5 + SHIFTER
    half = half_shifted - SHIFTER
    first = power_of_two(half_shifted)
    second = power_of_two((n - half) + SHIFTER)
    return series * first * second


@inlined
def power_of_two(shifted: float) -> float:
    """2^n of the integer n in `shifted` = n + SHIFTER, by the bits of a float64."""
    bits = np.float64(shifted).view(np.int64)
    return np.int64((bits << np.int64(52)) + np.int64(1023 << 52)).view(np.float64)


@inlined
def log1p_of_decay(d: float) -> float:
    """log(1 + d) for d in [0, 1], relatively accurate down to the smallest d.

    log(1 + d) = 2 atanh(d / (2 + d)), beyond d = sqrt(2) - 1 after halving 1 + d.
    """
    upper = d > 0.41421356237309503
    s = (d - 1.0 if upper else d) / (d + 3.0 if upper else d + 2.0)
    offset = 0.6931471805599453 if upper else 0.0
    c = ATANH_SERIES
    q = s * s
    q2 = q * q
    q4 = q2 * q2
    low = (c[1] + c[2] * q) + (c[3] + c[4] * q) * q2
    high = (c[5] + c[6] * q) + (c[7] + c[8] * q) * q2
    rest = low + q4 * (high + q4 * (c[9] + c[10] * q))
    return offset + 2.0 * (s + s * q * rest)
