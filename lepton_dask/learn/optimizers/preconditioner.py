"""The Hessian of all rows, as far as a subsample can tell it."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.optimizers.base import Pilot
from lepton_dask.matrix import Floats


def preconditioner(pilot: Pilot, curvature: Floats) -> Floats:
    """The pilot's Hessian (M, M), as far as it can tell that of all rows.

    A level that is rare has too few rows in a subsample, or by chance too many; the diagonals at
    the two null models say how many. Rows and columns of H are scaled down by the root of the
    ratio where there were too many; where there were too few, the rest is added to the diagonal.
    """
    ratio = np.where(pilot.curvature > 0, curvature / np.maximum(pilot.curvature, 1e-300), 1.0)
    shrink = np.sqrt(np.minimum(ratio, 1.0))
    hessian: Floats = pilot.hessian * np.outer(shrink, shrink)
    diagonal = np.diagonal(pilot.hessian)
    missing = diagonal * np.maximum(ratio - 1.0, 0.0)
    unseen = (pilot.curvature <= 0) | ~np.isfinite(missing)
    missing = np.where(unseen, np.maximum(curvature - diagonal, 0.0), missing)
    # What no row has, of either, gets the curvature that a plain metric gives it.
    missing = np.where(diagonal + missing > 0, missing, 1.0)
    hessian[np.diag_indices_from(hessian)] += missing
    return hessian
