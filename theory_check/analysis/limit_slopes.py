"""Whether a decay is too slow both as a whole and towards its limit, whatever its shape.

Under a statement ``y <= C x**slope`` the points nearest the limit fall with that slope, whatever
precedes them. A curve that falls too slowly both overall and there is refuted by a burn-in and by a
floor alike; that it is not one power law does not matter then.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from theory_check.analysis.replicates import average_curve, half_width

RESAMPLES = 2000
# Two slopes are looked at: each at 97.5 %, so that both hold with 95 % (Bonferroni).
LEVEL = 0.975


def steepest_slopes(
    x: Float[np.ndarray, " m"], y: Float[np.ndarray, "replicates m"], *, seed: int = 0
) -> tuple[float, float]:
    """Return the smallest plausible slope of log y in log x over all points, and over the last half.

    Lower ends of intervals over replicates for least-squares slopes of the mean curve.

    Parameters
    ----------
    x
        Ascending towards the limit, shape (m,), m >= 4.
    y
        Positive, shape (replicates, m).
    seed
        Of the resampling.
    """
    curve = average_curve(y, "mean")
    log_x = np.log(x)
    generator = np.random.default_rng(seed)
    ends = []
    for start in (0, x.size // 2):
        contrast = np.zeros(x.size)
        centred = log_x[start:] - log_x[start:].mean()
        contrast[start:] = centred / (centred @ centred)
        reach = half_width(curve, contrast, RESAMPLES, generator, LEVEL)
        ends.append(float(contrast @ curve.log_average) - reach)
    return ends[0], ends[1]
