"""Coordinate descent on a quadratic model with l1, compiled."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.compiler import kernel
from lepton_dask.matrix import Floats


@kernel()
def sweep_coordinates(
    hessian: Floats, slope: Floats, theta: Floats, l1: Floats, sweeps: int, tolerance: float
) -> float:
    """Lowers q(theta) = slope'd + d'H d / 2 + sum l1_j |theta_j| a coordinate at a time, in place.

    `slope` (M,) is the gradient of the quadratic part at `theta` (M,), and is kept so. In each of
    at most `sweeps` rounds every coordinate that can move, then only those that are not 0 until
    they rest (Friedman, Hastie, Tibshirani: Regularization Paths for Generalized Linear Models via
    Coordinate Descent, J. Stat. Softw. 2010, 2.6). Returns the largest smallest-subgradient met in
    the last full round, on the scale of a diagonal of 1; at most `tolerance` where it converged.
    """
    M = theta.size
    worst = np.inf
    full = True
    for _ in range(sweeps):
        largest = 0.0
        for j in range(M):
            bend = hessian[j, j]
            if bend <= 0.0 or (not full and theta[j] == 0.0):
                continue
            target = theta[j] - slope[j] / bend
            threshold = l1[j] / bend
            if target > threshold:
                target -= threshold
            elif target < -threshold:
                target += threshold
            else:
                target = 0.0
            moved = target - theta[j]
            if moved != 0.0:
                theta[j] = target
                for k in range(M):
                    slope[k] += moved * hessian[j, k]
                largest = max(largest, abs(moved) * np.sqrt(bend))
        if full:
            worst = largest
            if worst <= tolerance:
                break
        full = largest <= tolerance
    return worst
