"""Mixing the bits of 64-bit integers: numpy alone, since hashed texts leave with the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: the increment of SplitMix64."""


def mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64, a bijection on 64 bits in which every input bit changes every
    output bit with probability about 1/2 (Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
