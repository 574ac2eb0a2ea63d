"""Gradients and penalty loops of ``problems/hard_instance.py``: runs take 1e5 steps of few numbers."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

COMPONENTS = 4
"""Normal numbers of a batch: errors of two components in x, and of two in y."""


class Landscape(NamedTuple):
    """The numbers of an instance.

    Attributes
    ----------
    slope, bend, stiffness
        ``a``, ``k`` and ``m`` of f.
    falling
        Whether ``h`` is that of the valley, or Huber's.
    height
        ``D`` of the valley, ``L`` of Huber's function.
    shape
        ``p`` of the valley, ``s`` of Huber's function.
    """

    slope: float
    bend: float
    stiffness: float
    falling: bool
    height: float
    shape: float


class Batches(NamedTuple):
    """What is drawn in a step.

    Attributes
    ----------
    shared
        Whether the batch at y is that at y'.
    central
        Whether y belongs to ``g - sigma f``, and f is sampled there too.
    normals
        Standard normal numbers in the order of the operations, shape (number, stream).
    streams
        Which stream a replicate reads, shape (replicate,).
    lower, upper
        Standard deviations of the mean of a batch, of g and of f, shape (replicate,).
    """

    shared: bool
    central: bool
    normals: Floats
    streams: NDArray[np.int64]
    lower: Floats
    upper: Floats


def numbers_drawn(shared: bool, central: bool) -> int:
    """Return how many normal numbers an inner step, and the estimate, take of each stream."""
    return COMPONENTS * ((1 if shared else 2) + (2 if central else 1))


@numba.njit(cache=True, error_model="numpy")
def rise(landscape, z):  # type: ignore[no-untyped-def]
    """Return ``h'(z)``."""
    if landscape.falling:
        p = landscape.shape
        inside = 1.0 - (p + 1.0) * z if z < 0.0 else (1.0 + z) ** (-p - 1.0)
        return -landscape.height * p * inside
    value, steepest = landscape.height * z, landscape.shape
    # Not min and max, which would lose a NaN.
    if value > steepest:
        return steepest
    if value < -steepest:
        return -steepest
    return value


@numba.njit(cache=True, error_model="numpy")
def pull(landscape, u):  # type: ignore[no-untyped-def]
    """Return ``a q'(u)``."""
    return landscape.slope * (1.0 + math.tanh(2.0 * landscape.bend * u) / 2.0)


@numba.njit(cache=True, error_model="numpy")
def lower_in_upper(bent, miss, u):  # type: ignore[no-untyped-def]
    """Return ``∂_x g`` of ``miss = y1 - x1``, ``u = y2 - x2`` and ``bent = tanh(x2)``."""
    return -miss, (1.0 - bent * bent) / 4.0 * u * u - (1.0 + bent / 2.0) * u


@numba.njit(cache=True, error_model="numpy")
def slopes(landscape, z):  # type: ignore[no-untyped-def]
    """Return ``h'`` of an array."""
    found = np.empty(z.size)
    for row in range(z.size):
        found[row] = rise(landscape, z[row])
    return found


@numba.njit(cache=True, error_model="numpy")
def hypergradient(landscape, x):  # type: ignore[no-untyped-def]
    """Return ``∇Phi(x)``, shape (replicate, 2)."""
    found = np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        found[row, 0] = rise(landscape, x[row, 0])
        found[row, 1] = landscape.stiffness * x[row, 1]
    return found


@numba.njit(cache=True, error_model="numpy")
def lower_gradients(x, y):  # type: ignore[no-untyped-def]
    """Return ``∂_x g`` and ``∂_y g``, shapes (replicate, 2), of ``g = (y1 - x1)²/2 + c(x2) u²/2``."""
    in_upper, in_lower = np.empty((x.shape[0], 2)), np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        bent = math.tanh(x[row, 1])
        miss, u = y[row, 0] - x[row, 0], y[row, 1] - x[row, 1]
        in_upper[row, 0], in_upper[row, 1] = lower_in_upper(bent, miss, u)
        in_lower[row, 0] = miss
        in_lower[row, 1] = (1.0 + bent / 2.0) * u
    return in_upper, in_lower


@numba.njit(cache=True, error_model="numpy")
def upper_gradients(landscape, x, y):  # type: ignore[no-untyped-def]
    """Return ``∂_x f`` and ``∂_y f`` of ``f = h(y1) + a q(u) + m x2²/2``."""
    in_upper, in_lower = np.empty((x.shape[0], 2)), np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        pulled = pull(landscape, y[row, 1] - x[row, 1])
        in_upper[row, 0] = 0.0
        in_upper[row, 1] = landscape.stiffness * x[row, 1] - pulled
        in_lower[row, 0] = rise(landscape, y[row, 0])
        in_lower[row, 1] = pulled
    return in_upper, in_lower


@numba.njit(cache=True, error_model="numpy")
def penalty_descent(
    landscape: Landscape,
    batches: Batches,
    x: Floats,
    lower: Floats,
    penalised: Floats,
    steps: int,
    step_sizes: Floats,
    sigmas: Floats,
    told: Floats,
) -> None:
    """Take inner steps on both lower variables, with the operations of ``descend_both`` one by one.

    Parameters
    ----------
    landscape, batches
        The problem, and what is drawn: of each stream ``steps`` times ``numbers_drawn``.
    x
        Shape (replicate, 2).
    lower, penalised
        y and y', shape (replicate, 2); moved in place.
    steps, step_sizes, sigmas
        Inner steps; their sizes and the penalty parameters, shape (replicate,).
    told
        Takes y and y' before every step, shape (steps, 2, replicate, 2), or (0, ...) for nothing.
    """
    for row in range(x.shape[0]):
        x1, x2 = x[row]
        curvature = 1.0 + math.tanh(x2) / 2.0
        stream, deviation, above = batches.streams[row], batches.lower[row], batches.upper[row]
        size, sigma = step_sizes[row], sigmas[row]
        y1, y2 = lower[row]
        z1, z2 = penalised[row]
        # Of a batch, the first two numbers are errors in x, which an inner step does not use.
        at = 2
        for step in range(steps):
            if told.shape[0] > 0:
                told[step, 0, row, 0], told[step, 0, row, 1] = y1, y2
                told[step, 1, row, 0], told[step, 1, row, 1] = z1, z2
            free1 = y1 - x1 + batches.normals[at, stream] * deviation
            free2 = curvature * (y2 - x2) + batches.normals[at + 1, stream] * deviation
            if not batches.shared:
                at += COMPONENTS
            held1 = z1 - x1 + batches.normals[at, stream] * deviation
            held2 = curvature * (z2 - x2) + batches.normals[at + 1, stream] * deviation
            at += COMPONENTS
            pulled1 = rise(landscape, z1) + batches.normals[at, stream] * above
            pulled2 = pull(landscape, z2 - x2) + batches.normals[at + 1, stream] * above
            at += COMPONENTS
            if batches.central:
                pushed1 = rise(landscape, y1) + batches.normals[at, stream] * above
                pushed2 = pull(landscape, y2 - x2) + batches.normals[at + 1, stream] * above
                at += COMPONENTS
                free1 -= sigma * pushed1
                free2 -= sigma * pushed2
            y1 -= size * free1
            y2 -= size * free2
            z1 -= size * (held1 + sigma * pulled1)
            z2 -= size * (held2 + sigma * pulled2)
        lower[row, 0], lower[row, 1] = y1, y2
        penalised[row, 0], penalised[row, 1] = z1, z2


@numba.njit(cache=True, error_model="numpy")
def penalty_estimate(
    landscape: Landscape,
    batches: Batches,
    x: Floats,
    lower: Floats,
    penalised: Floats,
    sigmas: Floats,
) -> Floats:
    """Return the estimate of the hypergradient, shape (replicate, 2).

    Parameters are those of :func:`penalty_descent`; of each stream ``numbers_drawn`` are taken.
    """
    found = np.empty((x.shape[0], 2))
    for row in range(x.shape[0]):
        x1, x2 = x[row]
        stream, deviation, above = batches.streams[row], batches.lower[row], batches.upper[row]
        bent, width = math.tanh(x2), sigmas[row]
        free, held = lower[row, 1] - x2, penalised[row, 1] - x2
        direct1 = batches.normals[0, stream] * above
        direct2 = landscape.stiffness * x2 - pull(landscape, held)
        direct2 += batches.normals[1, stream] * above
        at = COMPONENTS
        if batches.central:
            below1 = batches.normals[at, stream] * above
            below2 = landscape.stiffness * x2 - pull(landscape, free)
            below2 += batches.normals[at + 1, stream] * above
            at += COMPONENTS
            direct1, direct2 = (direct1 + below1) / 2.0, (direct2 + below2) / 2.0
            width = 2.0 * width
        free1, free2 = lower_in_upper(bent, lower[row, 0] - x1, free)
        free1 += batches.normals[at, stream] * deviation
        free2 += batches.normals[at + 1, stream] * deviation
        if not batches.shared:
            at += COMPONENTS
        held1, held2 = lower_in_upper(bent, penalised[row, 0] - x1, held)
        held1 += batches.normals[at, stream] * deviation
        held2 += batches.normals[at + 1, stream] * deviation
        found[row, 0] = direct1 + (held1 - free1) / width
        found[row, 1] = direct2 + (held2 - free2) / width
    return found
