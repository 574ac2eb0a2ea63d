"""How far sigma must fall before the penalty bias is proportional to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from theory_check.claims.bias import PENALTY_BIAS
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem
from theory_check.worst_cases.base import (
    RATE,
    Evaluation,
    WorstCase,
    ball_points,
    gradient_bias,
    gradient_bias_from_values,
    local_slopes,
    proportional,
)

DEPARTURE = 0.1
LARGEST, SMALLEST = 0.3, 1e-5
SIGMAS = tuple(np.geomspace(LARGEST, SMALLEST, 11).tolist())
FINER_SIGMAS = tuple(np.geomspace(LARGEST, SMALLEST, 31).tolist())
POINTS = 32
MORE_POINTS = 64


def onset(sigmas: Sequence[float], bias: Sequence[float]) -> float:
    """Return the sigma from which on the local exponent stays within ``DEPARTURE`` of 1.

    Local exponents stand at the geometric mean of their two sigmas and are interpolated linearly in
    ``log sigma``. The largest sigma where all agree, the smallest where the last one does not; NaN where
    a bias is NaN.

    Parameters
    ----------
    sigmas
        In decreasing order.
    bias
        The bias at each of them.
    """
    departures = np.abs(np.asarray(local_slopes(sigmas, bias)) - RATE.exponent)
    if np.isnan(departures).any():
        return math.nan
    logarithms = np.log(np.asarray(sigmas))
    middles = (logarithms[1:] + logarithms[:-1]) / 2
    away = np.flatnonzero(departures > DEPARTURE)
    if not len(away):
        return sigmas[0]
    last = int(away[-1])
    if last == len(departures) - 1:
        return sigmas[-1]
    share = (departures[last] - DEPARTURE) / (departures[last] - departures[last + 1])
    return float(np.exp(middles[last] + share * (middles[last + 1] - middles[last])))


def _evaluation(sigmas: Sequence[float], bias: Sequence[float], kl_weight: float) -> Evaluation:
    slopes = local_slopes(sigmas, bias)
    reached = onset(sigmas, bias)
    return Evaluation(
        value=math.log10(1 / reached),
        kept=proportional(slopes[-1]),
        details={
            "kl_weight": kl_weight,
            "onset": reached,
            "onset_over_kl_weight": reached / kl_weight,
            "sigma": tuple(sigmas),
            "local_slopes": slopes,
        },
    )


def _measure(problem: Problem) -> Evaluation:
    exact, points = ExactOracle(problem), ball_points(POINTS, problem.parameters)
    return _evaluation(SIGMAS, gradient_bias(exact, points, SIGMAS), problem.kl_weight)


def _confirm(problem: Problem) -> Evaluation:
    """Gradients by differences of values at more points; a grid three times as fine beside."""
    exact, points = ExactOracle(problem), ball_points(MORE_POINTS, problem.parameters)
    bias = gradient_bias_from_values(exact, points, SIGMAS)
    found = _evaluation(SIGMAS, bias, problem.kl_weight)
    finer = onset(FINER_SIGMAS, gradient_bias(exact, points, FINER_SIGMAS))
    details = {
        **found.details,
        "value_on_finer_grid": math.log10(1 / finer),
    }
    return Evaluation(found.value, found.kept, details)


WORST_CASE = WorstCase(
    id="penalty-bias-onset",
    claim=PENALTY_BIAS.id,
    quantity=(
        f"decades of sigma below 1 after which the local exponent, over half a decade, of the "
        f"largest ‖∇Phi_sigma - ∇Phi‖ at {POINTS} points of the unit ball stays within {DEPARTURE:g} "
        f"of 1, sigma = {SMALLEST:g} to {LARGEST:g}"
    ),
    unit="decades",
    worse="a range of sigma that is not asymptotic reaches further down",
    predicted=(
        f"finite; kept if the local exponent at the smallest sigma is at least "
        f"{RATE.exponent - RATE.resolution:g}"
    ),
    families=("bandit", "garnet", "tabular"),
    measure=_measure,
    confirm=_confirm,
    # Of a decade. Both routes use one grid: the exponent over half a decade is what is defined.
    tolerance=0.1,
)
