"""Gradient steps on kept preference data with the reward that a tabular policy implies."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.penalty_tables import add_pulled_back, log_softmax


class ImplicitTables(NamedTuple):
    """What the reward that a policy implies depends on.

    Attributes
    ----------
    entries
        Entry of the policy table at every step of what is compared, shape (trajectory, step).
    discounts
        Of the steps.
    log_reference
        Shape (row, action).
    kl_weight
        beta.
    """

    entries: NDArray[np.int64]
    discounts: Floats
    log_reference: Floats
    kl_weight: float


@numba.njit(cache=True, error_model="numpy")
def implicit_data_descent(
    tables: ImplicitTables, data: Floats, points: Floats, steps: int, step_size: float
) -> None:
    """Take steps down the mean of ``-log P(winner > loser)`` with implicit returns.

    Parameters
    ----------
    tables
        The problem.
    data
        Frequencies of (winner, loser), shape (replicate, trajectory, trajectory).
    points
        Logits, shape (replicate, entry); they are moved in place.
    steps, step_size
        Their number and size.
    """
    shape = tables.log_reference.shape
    for replicate in range(points.shape[0]):
        winners, losers = np.nonzero(data[replicate])
        own = points[replicate : replicate + 1]
        for _ in range(steps):
            log_policy = log_softmax(own, shape)
            returns = _implicit_returns(tables, log_policy[0])
            weights = np.zeros_like(returns)
            for pair in range(winners.size):
                winner, loser = winners[pair], losers[pair]
                margin = returns[winner] - returns[loser]
                surprise = data[replicate, winner, loser] / (1.0 + math.exp(margin))
                weights[loser] += surprise
                weights[winner] -= surprise
            slopes = _in_policy(tables, weights)
            add_pulled_back(log_policy, slopes, shape, -step_size, own)


@numba.njit(cache=True, error_model="numpy")
def _implicit_returns(tables, log_policy):  # type: ignore[no-untyped-def]
    """Return ``beta sum_h gamma^h log(pi / pi_ref)`` along every trajectory."""
    reference = tables.log_reference.ravel()
    returns = np.zeros(tables.entries.shape[0])
    for tau in range(tables.entries.shape[0]):
        for step in range(tables.entries.shape[1]):
            entry = tables.entries[tau, step]
            returns[tau] += tables.discounts[step] * (log_policy[entry] - reference[entry])
        returns[tau] *= tables.kl_weight
    return returns


@numba.njit(cache=True, error_model="numpy")
def _in_policy(tables, weights):  # type: ignore[no-untyped-def]
    """Return the gradient in ``log pi`` of a weighted sum of implicit returns, shape (1, entry)."""
    slopes = np.zeros((1, tables.log_reference.size))
    for tau in range(tables.entries.shape[0]):
        if weights[tau] != 0.0:
            for step in range(tables.entries.shape[1]):
                weighed = tables.kl_weight * tables.discounts[step] * weights[tau]
                slopes[0, tables.entries[tau, step]] += weighed
    return slopes
