"""Expectations of the Bradley-Terry loss over all pairs of outcomes, one pass per unordered pair.

``docs/theory.md`` sections 1.2 and 1.3. No array of pairs is formed: a row at a time, with the
annotator's part of a row shared by all replicates.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import fill_model, powers_of

Floats = NDArray[np.float64]

# Differences |D - D*| below which the divergence is summed as a series, to the sixth order. There the
# truncation is a relative 1e-12, which is what rounding leaves of a difference of logarithms.
SERIES_BELOW = 0.02
# Differences below which what cancels near 1/2, or near log 2, is summed as a series, up to rounding.
SMALL = 0.05
LOG_2 = math.log(2.0)


@numba.njit(cache=True, error_model="numpy")
def pair_moments(
    returns: Floats, law: Floats, true_returns: Floats, excess: bool
) -> tuple[Floats, Floats]:
    """Return the moments of the loss of a labelled pair given one of its two members.

    Parameters
    ----------
    returns
        ``R_phi`` of every outcome, shape (replicate, outcome).
    law
        Probabilities of outcomes, shape (replicate, outcome).
    true_returns
        ``R*``, shape (outcome,).
    excess
        Whether the loss is ``KL(P* || P_phi)`` instead of the cross-entropy.

    Returns
    -------
    mean_loss
        ``E[loss(tau, tau') | tau]``, shape (replicate, outcome); the cross-entropy above ``log 2``, the
        loss of equal returns, so that it keeps its relative accuracy where returns hardly differ.
    mean_residual
        ``E[P_phi(tau > tau') - P*(tau > tau') | tau]``, shape (replicate, outcome), accurate relative to
        the differences of returns.
    """
    replicates, outcomes = returns.shape
    mean_loss = np.zeros((replicates, outcomes))
    mean_residual = np.zeros((replicates, outcomes))
    powers = [powers_of(returns[replicate]) for replicate in range(replicates)]
    true_powers = powers_of(true_returns)
    true_chance, true_log_favourite = np.empty(outcomes), np.empty(outcomes)
    true_lean = np.empty(outcomes)
    chance, log_favourite = np.empty(outcomes), np.empty(outcomes)
    loss, residual = np.empty(outcomes), np.empty(outcomes)
    for first in range(outcomes):
        fill_model(true_returns, true_powers, first, true_chance, true_log_favourite)
        true_row = (true_returns, true_chance, true_log_favourite)
        if not excess:
            _fill_lean(first, true_row, true_lean)
        for replicate in range(replicates):
            fill_model(returns[replicate], powers[replicate], first, chance, log_favourite)
            row = (returns[replicate], chance, log_favourite)
            if excess:
                _fill_divergence(first, row, true_row, loss)
            else:
                _fill_cross_entropy(first, row, true_lean, loss)
            _fill_residual(first, row, true_row, residual)
            sums = (mean_loss[replicate], mean_residual[replicate])
            _add_row(first, loss, residual, law[replicate], sums)
    return mean_loss, mean_residual


# The loops below run over views that start at the first pair of a row: indices that are known not to
# be negative are vectorised.


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill_lean(first, true_row, lean):  # type: ignore[no-untyped-def]
    """Write ``1/2 - P*(first > other) = -tanh(D*/2) / 2`` for all later outcomes."""
    own, returns, chance, _ = _later(first, true_row)
    leans = lean[first + 1 :]
    for other in range(leans.size):
        half = 0.5 * (own - returns[other])
        square = half * half
        series = 1.0 + square * (-1.0 / 3.0 + square * (2.0 / 15.0 - square * (17.0 / 315.0)))
        small = -0.5 * half * series
        leans[other] = small if abs(half) < 0.5 * SMALL else 0.5 - chance[other]


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill_cross_entropy(first, row, true_lean, loss):  # type: ignore[no-untyped-def]
    """Write the expected ``-log P_phi(y)`` of ``first`` against all later outcomes, less ``log 2``.

    ``log cosh(D/2) + (1/2 - P*) D``.
    """
    own, returns, _, log_favourite = _later(first, row)
    leans, losses = true_lean[first + 1 :], loss[first + 1 :]
    for other in range(losses.size):
        half = 0.5 * (own - returns[other])
        square = half * half
        series = -1.0 / 12.0 + square * (1.0 / 45.0 - square * (17.0 / 2520.0))
        small = square * (0.5 + square * series)
        direct = abs(half) - log_favourite[other] - LOG_2
        entropy = small if abs(half) < 0.5 * SMALL else direct
        losses[other] = entropy + leans[other] * (2.0 * half)


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill_residual(first, row, true_row, residual):  # type: ignore[no-untyped-def]
    """Write ``P_phi - P*`` of ``first`` against all later outcomes.

    With ``e = D - D*`` it is ``(1 - P_phi) P* (exp(e) - 1)``.
    """
    own, returns, chance, _ = _later(first, row)
    own_true, true_returns, true_chance, _ = _later(first, true_row)
    residuals = residual[first + 1 :]
    for other in range(residuals.size):
        excess = (own - returns[other]) - (own_true - true_returns[other])
        series = 1.0 + excess * 0.2 * (1.0 + excess * (1.0 / 6.0) * (1.0 + excess * (1.0 / 7.0)))
        series = 1.0 + excess * (1.0 / 3.0) * (1.0 + excess * 0.25 * series)
        series = excess * (1.0 + excess * 0.5 * series)
        small = (1.0 - chance[other]) * true_chance[other] * series
        direct = chance[other] - true_chance[other]
        residuals[other] = small if abs(excess) < SERIES_BELOW else direct


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill_divergence(first, row, true_row, loss):  # type: ignore[no-untyped-def]
    """Write ``KL(P* || P_phi)`` of ``first`` against all later outcomes.

    As a function of ``e = D - D*`` it is ``log E[exp(e X)] - e E[X]`` for a label X, the sum of
    ``cumulant_k e^k / k!`` from k = 2; differences of logarithms would lose it where it is small.
    """
    own, returns, _, log_favourite = _later(first, row)
    own_true, true_returns, true_chance, true_log_favourite = _later(first, true_row)
    losses = loss[first + 1 :]
    for other in range(losses.size):
        difference = own - returns[other]
        true_difference = own_true - true_returns[other]
        preferred = true_chance[other]
        direct = (true_log_favourite[other] - log_favourite[other]) + (
            _surprise(difference, preferred) - _surprise(true_difference, preferred)
        )
        excess = difference - true_difference
        variance = preferred * (1.0 - preferred)
        skew = 1.0 - 2.0 * preferred
        sixth = 1.0 - 30.0 * variance * (1.0 - 4.0 * variance)
        series = skew * (1.0 - 12.0 * variance) * (1.0 / 120.0) + excess * sixth * (1.0 / 720.0)
        series = (1.0 - 6.0 * variance) * (1.0 / 24.0) + excess * series
        series = 0.5 + excess * (skew * (1.0 / 6.0) + excess * series)
        small = variance * excess * excess * series
        losses[other] = small if abs(excess) < SERIES_BELOW else direct


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _later(first, row):  # type: ignore[no-untyped-def]
    """Return the return of ``first``, and the columns of all later outcomes."""
    returns, chance, log_favourite = row
    later = first + 1
    return returns[first], returns[later:], chance[later:], log_favourite[later:]


@numba.njit(cache=True, error_model="numpy", forceinline=True, fastmath={"contract"})
def _surprise(difference, preferred):  # type: ignore[no-untyped-def]
    """Return ``|D|`` times the annotator's probability that the model's favourite loses."""
    return (difference if difference > 0.0 else 0.0) - preferred * difference


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def _add_row(first, loss, residual, law, sums):  # type: ignore[no-untyped-def]
    """Add the pairs of ``first`` with all later outcomes to both of their members.

    The pair of an outcome with itself adds nothing. Sums may be reordered, so that they are vectorised.
    """
    later = first + 1
    mean_loss, mean_residual = sums
    own, others, losses, residuals = law[first], law[later:], loss[later:], residual[later:]
    later_loss, later_residual = mean_loss[later:], mean_residual[later:]
    loss_sum, residual_sum = 0.0, 0.0
    for other in range(others.size):
        loss_sum += others[other] * losses[other]
        residual_sum += others[other] * residuals[other]
        later_loss[other] += own * losses[other]
        later_residual[other] -= own * residuals[other]
    mean_loss[first] += loss_sum
    mean_residual[first] += residual_sum
