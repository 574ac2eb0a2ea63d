"""Trigonometric sums over many outcomes at equally spaced frequencies, by rotation: one sine an outcome.

``docs/theory.md`` section 2.9. Frequencies are ``(l + 1/2) step`` for l = 0, 1, ...; an outcome's phase
is turned by ``exp(i step x)`` from one to the next, and computed anew every :data:`RESTART` frequencies,
so that rounding does not add up.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 256
RESTART = 32

_FAST = {"reassoc", "nsz", "contract"}


@numba.njit(cache=True, error_model="numpy")
def trigonometric_moments(points: Floats, masses: Floats, step: float, number: int) -> Floats:
    """Return ``sum_j mass_j exp(i w_l x_j)``.

    Parameters
    ----------
    points
        Shape (outcome,).
    masses
        Shape (kind, outcome): all kinds share the phases.
    step, number
        Distance and number of the frequencies.

    Returns
    -------
    numpy.ndarray
        Real and imaginary parts, shape (2, kind, frequency).
    """
    kinds = masses.shape[0]
    sums = np.zeros((2, kinds, number))
    cosine, sine = np.empty(BLOCK), np.empty(BLOCK)
    turn_cosine, turn_sine = np.empty(BLOCK), np.empty(BLOCK)
    for first in range(0, points.size, BLOCK):
        here = points[first : first + BLOCK]
        _angles(here, step, turn_cosine, turn_sine)
        for index in range(number):
            if index % RESTART == 0:
                _angles(here, (index + 0.5) * step, cosine, sine)
            for kind in range(kinds):
                real, imaginary = _weighted(masses[kind, first : first + BLOCK], cosine, sine)
                sums[0, kind, index] += real
                sums[1, kind, index] += imaginary
            _rotate(here.size, cosine, sine, turn_cosine, turn_sine)
    return sums


@numba.njit(cache=True, error_model="numpy")
def trigonometric_values(points: Floats, slopes: Floats, step: float) -> Floats:
    """Return ``Re sum_l slope_l exp(i w_l x)`` at every point.

    Parameters
    ----------
    points
        Shape (outcome,).
    slopes
        Real and imaginary parts, shape (2, kind, frequency).
    step
        Distance of the frequencies.

    Returns
    -------
    numpy.ndarray
        Shape (kind, outcome).
    """
    _, kinds, number = slopes.shape
    values = np.zeros((kinds, points.size))
    cosine, sine = np.empty(BLOCK), np.empty(BLOCK)
    turn_cosine, turn_sine = np.empty(BLOCK), np.empty(BLOCK)
    for first in range(0, points.size, BLOCK):
        here = points[first : first + BLOCK]
        _angles(here, step, turn_cosine, turn_sine)
        for index in range(number):
            if index % RESTART == 0:
                _angles(here, (index + 0.5) * step, cosine, sine)
            for kind in range(kinds):
                _add(
                    values[kind, first : first + BLOCK],
                    slopes[0, kind, index],
                    slopes[1, kind, index],
                    cosine,
                    sine,
                )
            _rotate(here.size, cosine, sine, turn_cosine, turn_sine)
    return values


@numba.njit(cache=True, error_model="numpy")
def _angles(points, frequency, cosine, sine):  # type: ignore[no-untyped-def]
    for index in range(points.size):
        angle = frequency * points[index]
        cosine[index], sine[index] = math.cos(angle), math.sin(angle)


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _rotate(size, cosine, sine, turn_cosine, turn_sine):  # type: ignore[no-untyped-def]
    for index in range(size):
        real = cosine[index] * turn_cosine[index] - sine[index] * turn_sine[index]
        sine[index] = cosine[index] * turn_sine[index] + sine[index] * turn_cosine[index]
        cosine[index] = real


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _weighted(masses, cosine, sine):  # type: ignore[no-untyped-def]
    real, imaginary = 0.0, 0.0
    for index in range(masses.size):
        real += masses[index] * cosine[index]
        imaginary += masses[index] * sine[index]
    return real, imaginary


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _add(values, real, imaginary, cosine, sine):  # type: ignore[no-untyped-def]
    for index in range(values.size):
        values[index] += real * cosine[index] - imaginary * sine[index]
