"""Exact binomial draws at a cost that does not grow with the number of trials.

Inversion where the mean is small (Kachitvichyanukul and Schmeiser 1988, algorithm BINV); transformed
rejection with squeeze elsewhere (Hörmann 1993, "The generation of binomial random variates",
algorithm BTRS), with the product of ratios near the mode and the squeeze beyond it of his algorithm
BTRD, steps 3.1 and 3.2, before the exact test.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from theory_check.kernels.random_bits import Bits, next_uniform

INVERSION_MEAN = 10.0
# Beyond this the tail is under 1e-17 for means below INVERSION_MEAN; rounding alone leads there.
INVERSION_LIMIT = 110
# Up to this distance from the mode a product of ratios decides; beyond it the squeeze holds.
NEAR = 15.0
# Integers up to this size are counted exactly, and products of 15 of them do not overflow.
LARGEST_FACTOR = 1e15

_RECIPROCALS = np.concatenate([[np.inf], 1.0 / np.arange(1, INVERSION_LIMIT + 2)])
_SMALL_STIRLING_TAILS = np.array(
    [
        math.lgamma(k + 1.0)
        - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1.0) - (k + 1.0))
        for k in range(10)
    ]
)


@numba.njit(cache=True, error_model="numpy")
def binomial(bits: Bits, trials: int, probability: float) -> tuple[int, Bits]:
    """Draw Binomial(trials, probability); probabilities outside [0, 1] by rounding are clipped.

    Returns the draw and the generator after it.
    """
    if trials <= 0 or probability <= 0.0:
        return 0, bits
    if probability >= 1.0:
        return trials, bits
    rare = min(probability, 1.0 - probability)
    if trials * rare < INVERSION_MEAN:
        successes, bits = _inversion(bits, trials, rare, math.log1p(-rare))
    else:
        successes, bits = _transformed_rejection(bits, trials, rare)
    return (successes if probability <= 0.5 else trials - successes), bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def rare_binomial(
    bits: Bits, trials: int, probability: float, log_failure: float
) -> tuple[int, Bits]:
    """Draw Binomial(trials, probability) for ``probability`` in [0, 1/2].

    Parameters
    ----------
    bits
        The generator.
    trials
        Number of trials, at least 0.
    probability
        Probability of success, at most 1/2.
    log_failure
        ``log(1 - probability)``, which callers compute once for many draws.

    Returns
    -------
    successes, bits
        The draw and the generator after it.
    """
    if trials <= 0 or probability <= 0.0:
        return 0, bits
    if trials * probability < INVERSION_MEAN:
        return _inversion(bits, trials, probability, log_failure)
    return _transformed_rejection(bits, trials, probability)


@numba.njit(cache=True, error_model="numpy")
def _inversion(bits: Bits, trials: int, probability: float, log_failure: float) -> tuple[int, Bits]:
    # Successive masses have the ratio odds (trials - k + 1) / k = ceiling / k - odds.
    odds = probability / (1.0 - probability)
    ceiling = odds * (trials + 1.0)
    start = math.exp(trials * log_failure)
    bound = min(trials, INVERSION_LIMIT)
    while True:
        remaining, bits = next_uniform(bits)
        mass = start
        successes = 0
        while remaining > mass and successes <= bound:
            remaining -= mass
            successes += 1
            mass *= ceiling * _RECIPROCALS[successes] - odds
        if successes <= bound:
            return successes, bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _transformed_rejection(bits: Bits, trials: int, probability: float) -> tuple[int, Bits]:
    number = float(trials)
    mean = number * probability
    spread = math.sqrt(mean * (1.0 - probability))
    b = 1.15 + 2.53 * spread
    twice_a = -0.1746 + 0.0496 * b + 0.02 * probability
    while True:
        uniform, bits = next_uniform(bits)
        v, bits = next_uniform(bits)
        u = uniform - 0.5
        distance = 0.5 - abs(u)
        successes = np.floor((twice_a / distance + b) * u + (mean + 0.5))
        # Hörmann's v <= 0.92 - 4.2 / b, without the division.
        if distance >= 0.07 and (0.92 - v) * b >= 4.2:
            return int(successes), bits
        if successes < 0.0 or successes > number:
            continue
        if accepts(number, probability, successes, distance, v):
            return int(successes), bits


@numba.njit(cache=True, error_model="numpy")
def accepts(trials: float, probability: float, successes: float, distance: float, v: float) -> bool:
    """Decide the draws the first squeeze leaves open; kept out of line of the fast path."""
    variance = trials * probability * (1.0 - probability)
    spread = math.sqrt(variance)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * probability
    alpha = (2.83 + 5.1 / b) * spread
    height = v * alpha / (a / (distance * distance) + b)
    odds = probability / (1.0 - probability)
    mode = np.floor((trials + 1.0) * probability)
    shift = abs(successes - mode)
    if shift <= NEAR and mode < LARGEST_FACTOR:
        return _below_ratio_to_mode(height, trials, mode, successes, odds)
    log_height = math.log(height)
    if NEAR < shift < 0.5 * variance - 1.0:
        normal, slack = _normal_bounds(variance, shift)
        if log_height < normal - slack:
            return True
        if log_height > normal + slack:
            return False
    return log_height <= _log_ratio_to_mode(trials, mode, successes, math.log(odds))


@numba.njit(cache=True, error_model="numpy")
def _below_ratio_to_mode(
    height: float, trials: float, mode: float, successes: float, odds: float
) -> bool:
    """Return whether ``height <= P(successes) / P(mode)``, by the product of successive ratios.

    The two are at most ``NEAR`` apart, and factors are of the order of the mode, at most
    ``LARGEST_FACTOR``, so that neither product overflows.
    """
    upper, lower = max(mode, successes), min(mode, successes)
    numerator, denominator = 1.0, 1.0
    factor = lower + 1.0
    while factor <= upper:
        numerator *= (trials + 1.0 - factor) * odds
        denominator *= factor
        factor += 1.0
    if successes > mode:
        return height * denominator <= numerator
    return height * numerator <= denominator


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _normal_bounds(variance: float, distance: float) -> tuple[float, float]:
    """Return centre and half-width of an interval that holds ``log(P(mode +- distance) / P(mode))``.

    Algorithm BTRD, step 3.2, for distances above ``NEAR`` and below ``variance / 2 - 1``; the
    bounds are those of Kachitvichyanukul and Schmeiser (1988, algorithm BTPE, step 5.2).
    """
    scaled = distance / variance
    slack = scaled * ((distance * (distance / 3.0 + 0.625) + 1.0 / 6.0) / variance + 0.5)
    return -0.5 * distance * scaled, slack


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
        return float(_SMALL_STIRLING_TAILS[int(k)])
    inverse = 1.0 / (k + 1.0)
    square = inverse * inverse
    series = 1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - square / 1680) * square) * square
    return series * inverse
