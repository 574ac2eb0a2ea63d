"""Gradients of ``problems/hard_instance.py``: runs take 1e5 steps of a few numbers each."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def lower_gradients(x, y):  # type: ignore[no-untyped-def]
    """Return ``∂_x g`` and ``∂_y g``, shapes (replicate, 2), of ``g = (y1 - x1)²/2 + c(x2) u²/2``."""
    in_upper, in_lower = np.empty((x.shape[0], 2)), np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        bent = math.tanh(x[row, 1])
        miss, u = y[row, 0] - x[row, 0], y[row, 1] - x[row, 1]
        pull = (1.0 + bent / 2.0) * u
        in_upper[row, 0] = -miss
        in_upper[row, 1] = (1.0 - bent * bent) / 4.0 * u * u - pull
        in_lower[row, 0] = miss
        in_lower[row, 1] = pull
    return in_upper, in_lower


@numba.njit(cache=True, error_model="numpy")
def upper_gradients(x, y, rise, slope, bend, stiffness):  # type: ignore[no-untyped-def]
    """Return ``∂_x f`` and ``∂_y f`` of ``f = h(y1) + a q(u) + m x2²/2``; ``rise = h'(y1)``."""
    in_upper, in_lower = np.empty((x.shape[0], 2)), np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        pull = slope * (1.0 + math.tanh(2.0 * bend * (y[row, 1] - x[row, 1])) / 2.0)
        in_upper[row, 0] = 0.0
        in_upper[row, 1] = stiffness * x[row, 1] - pull
        in_lower[row, 0] = rise[row]
        in_lower[row, 1] = pull
    return in_upper, in_lower
