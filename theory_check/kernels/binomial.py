"""Exact binomial draws at a cost that does not grow with the number of trials.

Inversion where the mean is small (Kachitvichyanukul and Schmeiser 1988, algorithm BINV); transformed
rejection with squeeze elsewhere (Hörmann 1993, "The generation of binomial random variates",
algorithm BTRS).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.random_bits import next_uniform

INVERSION_MEAN = 10.0


@numba.njit(cache=True, error_model="numpy")
def binomial(state: NDArray[np.uint64], trials: int, probability: float) -> int:
    """Draw Binomial(trials, probability); probabilities outside [0, 1] by rounding are clipped."""
    if trials <= 0 or probability <= 0.0:
        return 0
    if probability >= 1.0:
        return trials
    if probability > 0.5:
        return trials - _at_most_half(state, trials, 1.0 - probability)
    return _at_most_half(state, trials, probability)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _at_most_half(state: NDArray[np.uint64], trials: int, probability: float) -> int:
    if trials * probability < INVERSION_MEAN:
        return _inversion(state, trials, probability)
    return _transformed_rejection(state, trials, probability)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _inversion(state: NDArray[np.uint64], trials: int, probability: float) -> int:
    odds = probability / (1.0 - probability)
    start = math.exp(trials * math.log1p(-probability))
    # Beyond this the tail is under 1e-17 for means below INVERSION_MEAN; rounding alone leads there.
    bound = min(trials, 110)
    while True:
        remaining = next_uniform(state)
        mass = start
        successes = 0
        while remaining > mass and successes <= bound:
            remaining -= mass
            successes += 1
            mass *= odds * (trials - successes + 1) / successes
        if successes <= bound:
            return successes


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _transformed_rejection(state: NDArray[np.uint64], trials: int, probability: float) -> int:
    number = float(trials)
    spread = math.sqrt(number * probability * (1.0 - probability))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * probability
    centre = number * probability + 0.5
    squeeze = 0.92 - 4.2 / b
    while True:
        u = next_uniform(state) - 0.5
        v = next_uniform(state)
        distance = 0.5 - abs(u)
        successes = np.floor((2.0 * a / distance + b) * u + centre)
        if distance >= 0.07 and v <= squeeze:
            return int(successes)
        if successes < 0.0 or successes > number:
            continue
        alpha = (2.83 + 5.1 / b) * spread
        height = v * alpha / (a / (distance * distance) + b)
        if _accepts(number, probability, successes, height):
            return int(successes)


@numba.njit(cache=True, error_model="numpy")
def _accepts(trials: float, probability: float, successes: float, height: float) -> bool:
    """Decide the few draws the squeeze leaves open; kept out of line of the fast path."""
    mode = np.floor((trials + 1.0) * probability)
    log_odds = math.log(probability / (1.0 - probability))
    return math.log(height) <= _log_ratio_to_mode(trials, mode, successes, log_odds)


@numba.njit(cache=True, error_model="numpy")
def _log_ratio_to_mode(trials: float, mode: float, successes: float, log_odds: float) -> float:
    """Return ``log(P(successes) / P(mode))``.

    Stirling's series with its tail, and ``log1p`` of small ratios, so that no large logarithms
    cancel and the acceptance stays exact to rounding for billions of trials.
    """
    shift = successes - mode
    left = trials - mode + 1.0
    return (
        (mode + 0.5) * -math.log1p(shift / (mode + 1.0))
        + (left - 0.5) * math.log1p(shift / (left - shift))
        + shift * (log_odds + math.log((left - shift) / (successes + 1.0)))
        + _stirling_tail(mode)
        + _stirling_tail(trials - mode)
        - _stirling_tail(successes)
        - _stirling_tail(trials - successes)
    )


@numba.njit(cache=True, error_model="numpy")
def _stirling_tail(k: float) -> float:
    """Return ``log k! - [log sqrt(2 pi) + (k + 1/2) log(k + 1) - (k + 1)]``."""
    if k < 10.0:
        return math.lgamma(k + 1.0) - (
            0.9189385332046727 + (k + 0.5) * math.log(k + 1.0) - (k + 1.0)
        )
    inverse = 1.0 / (k + 1.0)
    square = inverse * inverse
    series = 1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - square / 1680) * square) * square
    return series * inverse
