"""Conditional probabilities that split a number of draws over the outcomes of a law, one by one."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def hazards(law):  # type: ignore[no-untyped-def]
    """Return ``h_j = law[j] / (law[j] + law[j+1] + ...)`` as its rarer side.

    That is whether ``h_j > 1/2``, the smaller of ``h_j`` and ``1 - h_j``, and the logarithm of the
    larger. 0 where nothing is left.
    """
    outcomes = law.size
    likely = np.zeros(outcomes, dtype=np.bool_)
    rare = np.zeros(outcomes)
    log_failure = np.zeros(outcomes)
    beyond = 0.0
    for outcome in range(outcomes - 1, -1, -1):
        total = beyond + law[outcome]
        if total > 0.0:
            likely[outcome] = law[outcome] > beyond
            rare[outcome] = min(law[outcome], beyond) / total
            log_failure[outcome] = math.log1p(-rare[outcome])
        beyond = total
    return likely, rare, log_failure


@numba.njit(cache=True, error_model="numpy")
def suffix_sums(values):  # type: ignore[no-untyped-def]
    """Return ``values[i] + values[i+1] + ...`` for every i."""
    sums = np.empty_like(values)
    total = 0.0
    for index in range(values.size - 1, -1, -1):
        total += values[index]
        sums[index] = total
    return sums


@numba.njit(cache=True, error_model="numpy")
def usable(values):  # type: ignore[no-untyped-def]
    """Return whether all numbers are finite."""
    return np.isfinite(values).all()
