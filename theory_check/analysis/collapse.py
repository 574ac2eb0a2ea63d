"""Geometric decays on one axis: each replicate in units of its own fitted rate, for figures."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from theory_check.analysis.decay import BURN_IN_SHARES, usable_range


def geometric_collapse(
    x: Float[np.ndarray, " m"],
    y: Float[np.ndarray, "replicates m"],
    decades: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "replicates n"]:
    """Return each replicate as a function of the decades its own geometric fit has fallen.

    A replicate that decays as ``C rho**x`` becomes ``10**-decades``, whatever its C and rho; a power
    law bends away upwards. Values outside a replicate's usable range are NaN.

    Parameters
    ----------
    x
        Ascending, shape (m,).
    y
        Shape (replicates, m).
    decades
        Where to evaluate, in decades below the fitted prefactor, shape (n,).
    """
    curves = np.full((y.shape[0], decades.size), np.nan)
    for replicate, row in enumerate(y):
        start, stop = usable_range(x, row, BURN_IN_SHARES[0])
        log_y = np.log10(row[start:stop])
        slope, intercept = np.polyfit(x[start:stop], log_y, 1)
        fallen = -slope * x[start:stop]
        curves[replicate] = 10 ** (
            np.interp(decades, fallen, log_y - intercept, left=np.nan, right=np.nan)
        )
    return curves
