"""The Bradley-Terry law of labels and the losses of labelled pairs (``docs/theory.md`` section 1).

The annotator's law is tabulated once per problem; the model's is evaluated from ``exp(R_phi)``, one
exponential per trajectory instead of one per pair.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class LabelLaw(NamedTuple):
    """The annotator's law ``P*(i > j)`` for all pairs of trajectories.

    Built once per problem, 8 N^2 bytes for N trajectories: by :func:`label_law` where it is
    ``sigmoid(R*_i - R*_j)``.

    Attributes
    ----------
    returns
        ``R*``, shape (trajectory,).
    upset
        Probability that the trajectory of the smaller return wins, shape (pair,), for the pairs
        ``i < j`` row by row.
    log_favourite
        ``log(1 - upset)``, shape (pair,).
    log_odds
        ``log((1 - upset) / upset)``, shape (pair,); empty where it is ``|R*_i - R*_j|``.
    """

    returns: Floats
    upset: Floats
    log_favourite: Floats
    log_odds: Floats


@numba.njit(cache=True, error_model="numpy")
def label_law(true_returns: Floats) -> LabelLaw:
    """Tabulate ``sigmoid(R*_i - R*_j)`` for true returns of shape (trajectory,)."""
    outcomes = true_returns.size
    upset = np.empty(outcomes * (outcomes - 1) // 2)
    log_favourite = np.empty_like(upset)
    pair = 0
    for first in range(outcomes):
        for second in range(first + 1, outcomes):
            ratio = math.exp(-abs(true_returns[first] - true_returns[second]))
            upset[pair] = ratio / (1.0 + ratio)
            log_favourite[pair] = -math.log1p(ratio)
            pair += 1
    return LabelLaw(true_returns, upset, log_favourite, np.empty(0))


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def diagonal_loss(count, excess):  # type: ignore[no-untyped-def]
    """Return the loss of ``count`` pairs of equal trajectories, at both of its members."""
    return 0.0 if excess else 2.0 * math.log(2.0) * count


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def loss_and_wins(count, upsets, difference, true_difference, log_favourite):  # type: ignore[no-untyped-def]
    """Return ``-log P_phi(y)`` summed over ``count`` labels of one pair, and the wins of its first.

    ``log_favourite`` is the model's, as :func:`model_of_pair` gives it.
    """
    wins = count - upsets if true_difference >= 0.0 else upsets
    surprises = count - wins if difference >= 0.0 else wins
    return surprises * abs(difference) - count * log_favourite, wins


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def label_loss(count, upsets, true_difference, labels, pair):  # type: ignore[no-untyped-def]
    """Return ``-log P*(y)`` summed over ``count`` labels of one pair."""
    log_odds = labels.log_odds[pair] if labels.log_odds.size > 0 else abs(true_difference)
    return upsets * log_odds - count * labels.log_favourite[pair]


@numba.njit(cache=True, error_model="numpy")
def fill_model(returns, powers, first, chance, log_favourite):  # type: ignore[no-untyped-def]
    """Write :func:`model_of_pair` of ``first`` against all later ones; the first loop is vectorised."""
    if powers.size > 0:
        # Views from the first pair on: indices that are known not to be negative are vectorised.
        own, others = powers[first], powers[first + 1 :]
        chances, logarithms = chance[first + 1 :], log_favourite[first + 1 :]
        for other in range(others.size):
            chances[other], logarithms[other] = bradley_terry(own, others[other])
    else:
        for second in range(first + 1, returns.size):
            chance[second], log_favourite[second] = model_of_pair(returns, powers, first, second)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def model_of_pair(returns, powers, first, second):  # type: ignore[no-untyped-def]
    """Return the model's ``P(first > second)`` and the logarithm of its favourite's chance."""
    if powers.size > 0:
        return bradley_terry(powers[first], powers[second])
    difference = returns[first] - returns[second]
    return bradley_terry(math.exp(min(difference, 0.0)), math.exp(min(-difference, 0.0)))


@numba.njit(cache=True, error_model="numpy", forceinline=True, fastmath={"contract"})
def bradley_terry(own, other):  # type: ignore[no-untyped-def]
    """Return ``own / (own + other)`` and ``-log(1 + low / high)`` of the two.

    With ``z = low / (2 high + low)`` in [0, 1/3] the logarithm is ``2 artanh z``, whose series to
    ``z^31`` leaves a relative error under 2e-17. Unlike a call of ``log1p`` it is vectorised; summed
    by halves, its terms do not wait for each other.
    """
    low, high = min(own, other), max(own, other)
    z = low / (2.0 * high + low)
    one = z * z
    two = one * one
    four = two * two
    a = (1.0 + one * (1.0 / 3.0)) + two * (1.0 / 5.0 + one * (1.0 / 7.0))
    b = (1.0 / 9.0 + one * (1.0 / 11.0)) + two * (1.0 / 13.0 + one * (1.0 / 15.0))
    c = (1.0 / 17.0 + one * (1.0 / 19.0)) + two * (1.0 / 21.0 + one * (1.0 / 23.0))
    d = (1.0 / 25.0 + one * (1.0 / 27.0)) + two * (1.0 / 29.0 + one * (1.0 / 31.0))
    series = (a + four * b) + four * four * (c + four * d)
    return own / (own + other), -2.0 * z * series


@numba.njit(cache=True, error_model="numpy")
def powers_of(returns):  # type: ignore[no-untyped-def]
    """Return ``exp(returns - max)``; an empty array where that would underflow.

    With it a Bradley-Terry probability costs one division instead of an exponential.
    """
    shift = returns.max()
    if shift - returns.min() > 600.0:
        return np.empty(0)
    return np.exp(returns - shift)
