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
        ``E[loss(tau, tau') | tau]``, shape (replicate, outcome).
    mean_residual
        ``E[P_phi(tau > tau') - P*(tau > tau') | tau]``, shape (replicate, outcome).
    """
    replicates, outcomes = returns.shape
    mean_loss = np.zeros((replicates, outcomes))
    mean_residual = np.zeros((replicates, outcomes))
    powers = [powers_of(returns[replicate]) for replicate in range(replicates)]
    true_powers = powers_of(true_returns)
    true_chance, true_log_favourite = np.empty(outcomes), np.empty(outcomes)
    chance, log_favourite = np.empty(outcomes), np.empty(outcomes)
    loss = np.empty(outcomes)
    own_loss = 0.0 if excess else math.log(2.0)
    for first in range(outcomes):
        fill_model(true_returns, true_powers, first, true_chance, true_log_favourite)
        true_row = (true_returns, true_chance, true_log_favourite)
        for replicate in range(replicates):
            fill_model(returns[replicate], powers[replicate], first, chance, log_favourite)
            row = (returns[replicate], chance, log_favourite)
            if excess:
                _fill_divergence(first, row, true_row, loss)
            else:
                _fill_cross_entropy(first, row, true_row, loss)
            sums = (mean_loss[replicate], mean_residual[replicate])
            _add_row(first, own_loss, loss, chance, true_chance, law[replicate], sums)
    return mean_loss, mean_residual


# The loops below run over views that start at the first pair of a row: indices that are known not to
# be negative are vectorised.


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill_cross_entropy(first, row, true_row, loss):  # type: ignore[no-untyped-def]
    """Write the expected ``-log P_phi(y)`` of ``first`` against all later outcomes."""
    own, returns, _, log_favourite = _later(first, row)
    _, _, true_chance, _ = _later(first, true_row)
    losses = loss[first + 1 :]
    for other in range(losses.size):
        surprise = _surprise(own - returns[other], true_chance[other])
        losses[other] = surprise - log_favourite[other]


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
def _add_row(first, own_loss, loss, chance, true_chance, law, sums):  # type: ignore[no-untyped-def]
    """Add the pairs of ``first`` with itself and all later outcomes to both of their members.

    Sums may be reordered, so that they are vectorised.
    """
    later = first + 1
    mean_loss, mean_residual = sums
    own, others, losses = law[first], law[later:], loss[later:]
    chances, true_chances = chance[later:], true_chance[later:]
    later_loss, later_residual = mean_loss[later:], mean_residual[later:]
    loss_sum, residual_sum = own * own_loss, 0.0
    for other in range(others.size):
        residual = chances[other] - true_chances[other]
        loss_sum += others[other] * losses[other]
        residual_sum += others[other] * residual
        later_loss[other] += own * losses[other]
        later_residual[other] -= own * residual
    mean_loss[first] += loss_sum
    mean_residual[first] += residual_sum
