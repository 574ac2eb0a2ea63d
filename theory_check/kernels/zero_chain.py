"""Chain, frontier and their derivatives of the zero-chain family (``docs/theory.md`` section 6.5).

Arrays have shape (replicate, link), in units of the length scale. A link is
``Q(a, b) = Psi(-a) P(-b) - Psi(a) P(b)``. Where ``|a| <= 1/2`` it vanishes with all of its
derivatives, so that the frontier has one summand at most: the link after the last coordinate beyond
1/2. One pass over the coordinates finds it, where the definition takes a norm for every link.
"""

from __future__ import annotations

import math

import numba
import numpy as np

ROOT_E = math.sqrt(math.e)
BELL_LIMIT = math.sqrt(2 * math.pi * math.e)
"""``P(infinity)``."""


@numba.njit(cache=True, error_model="numpy")
def smooth_step(t):  # type: ignore[no-untyped-def]
    """Return ``6 t^5 - 15 t^4 + 10 t^3`` between 0 and 1, 0 before and 1 after, and two derivatives."""
    if t <= 0.0:
        return 0.0, 0.0, 0.0
    if t >= 1.0:
        return 1.0, 0.0, 0.0
    rest = 1.0 - t
    value = t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
    return value, 30.0 * (t * rest) ** 2, 60.0 * t * rest * (1.0 - 2.0 * t)


@numba.njit(cache=True, error_model="numpy")
def reached(a):  # type: ignore[no-untyped-def]
    """Return how far a coordinate is from 0 to 1/2 in size, as a smooth step, and two derivatives."""
    value, slope, bend = smooth_step(2.0 * abs(a))
    return value, 2.0 * slope * np.sign(a), 4.0 * bend


@numba.njit(cache=True, error_model="numpy")
def bump(t):  # type: ignore[no-untyped-def]
    """Return ``Psi(t) = exp(1 - 1/(2t - 1)²)``, 0 up to 1/2, and two derivatives."""
    distance = 2.0 * t - 1.0
    if distance <= 0.04:  # exp(-1 / 0.04²) underflows
        return 0.0, 0.0, 0.0
    value = math.exp(1.0 - 1.0 / distance**2)
    return value, 4.0 * value / distance**3, value * (16.0 / distance**6 - 24.0 / distance**4)


@numba.njit(cache=True, error_model="numpy")
def bell(t):  # type: ignore[no-untyped-def]
    """Return ``P(t) = sqrt(e) int_{-inf}^t exp(-s²/2) ds``, and its derivative."""
    return 0.5 * BELL_LIMIT * math.erfc(-t / math.sqrt(2.0)), ROOT_E * math.exp(-0.5 * t * t)


@numba.njit(cache=True, error_model="numpy")
def link(a, b):  # type: ignore[no-untyped-def]
    """Return ``Q(a, b)`` and its derivatives in a and in b."""
    if abs(a) <= 0.5:
        return 0.0, 0.0, 0.0
    height, slope, _ = bump(abs(a))
    sign = 1.0 if a > 0 else -1.0
    area, density = bell(sign * b)
    return -sign * height * area, -slope * area, -height * density


@numba.njit(cache=True, error_model="numpy")
def link_curvature(a, b):  # type: ignore[no-untyped-def]
    """Return the second derivatives of ``Q``: in a twice, in both, in b twice."""
    if abs(a) <= 0.5:
        return 0.0, 0.0, 0.0
    height, slope, bend = bump(abs(a))
    sign = 1.0 if a > 0 else -1.0
    area, density = bell(sign * b)
    return -sign * bend * area, -sign * slope * density, height * b * density


@numba.njit(cache=True, error_model="numpy")
def chain(points):  # type: ignore[no-untyped-def]
    """Return ``F(a) = sum_i Q(a_{i-1}, a_i)`` with ``a_0 = 1``, and its gradient."""
    replicates, links = points.shape
    values, gradients = np.zeros(replicates), np.zeros_like(points)
    for row in range(replicates):
        before = 1.0
        for index in range(links):
            value, in_before, in_here = link(before, points[row, index])
            values[row] += value
            gradients[row, index] += in_here
            if index > 0:
                gradients[row, index - 1] += in_before
            before = points[row, index]
    return values, gradients


@numba.njit(cache=True, error_model="numpy")
def chain_curvature(points, vectors):  # type: ignore[no-untyped-def]
    """Return ``∇²F(a) u``."""
    replicates, links = points.shape
    products = np.zeros_like(points)
    for row in range(replicates):
        before = 1.0
        for index in range(links):
            twice_before, mixed, twice_here = link_curvature(before, points[row, index])
            products[row, index] += twice_here * vectors[row, index]
            if index > 0:
                products[row, index] += mixed * vectors[row, index - 1]
                products[row, index - 1] += (
                    mixed * vectors[row, index] + twice_before * vectors[row, index - 1]
                )
            before = points[row, index]
    return products


@numba.njit(cache=True, error_model="numpy")
def progress(points):  # type: ignore[no-untyped-def]
    """Return how many coordinates the last one beyond 1/2 in size ends: 0 where none is."""
    replicates, links = points.shape
    passed = np.zeros(replicates, dtype=np.int64)
    for row in range(replicates):
        for index in range(links - 1, -1, -1):
            if abs(points[row, index]) > 0.5:
                passed[row] = index + 1
                break
    return passed


@numba.njit(cache=True, error_model="numpy")
def hidden(row, first):  # type: ignore[no-untyped-def]
    """Return the weight of a link in the frontier, and two derivatives in the sum of what was reached."""
    sum_reached = 0.0
    for index in range(first, row.size):
        sum_reached += reached(row[index])[0]
    value, slope, bend = smooth_step(sum_reached)
    return 1.0 - value, -slope, -bend


@numba.njit(cache=True, error_model="numpy")
def frontier(points):  # type: ignore[no-untyped-def]
    """Return ``B(a) = sum_i (1 - S(sum_{j >= i} S(2 |a_j|))) Q(a_{i-1}, a_i)``, and its gradient."""
    replicates, links = points.shape
    values, gradients = np.zeros(replicates), np.zeros_like(points)
    passed = progress(points)
    for row in range(replicates):
        first = passed[row]
        if first == links:
            continue
        weight, slope, _ = hidden(points[row], first)
        before = points[row, first - 1] if first > 0 else 1.0
        value, in_before, in_here = link(before, points[row, first])
        values[row] = weight * value
        if slope != 0.0:
            for index in range(first, links):
                gradients[row, index] = slope * value * reached(points[row, index])[1]
        gradients[row, first] += weight * in_here
        if first > 0:
            gradients[row, first - 1] = weight * in_before
    return values, gradients


@numba.njit(cache=True, error_model="numpy")
def frontier_curvature(points, vectors):  # type: ignore[no-untyped-def]
    """Return ``∇²B(a) u``: the derivative of the gradient along u."""
    replicates, links = points.shape
    products = np.zeros_like(points)
    passed = progress(points)
    for row in range(replicates):
        first = passed[row]
        if first == links:
            continue
        weight, slope, bend = hidden(points[row], first)
        before = points[row, first - 1] if first > 0 else 1.0
        u_before = vectors[row, first - 1] if first > 0 else 0.0
        u_here = vectors[row, first]
        value, in_before, in_here = link(before, points[row, first])
        twice_before, mixed, twice_here = link_curvature(before, points[row, first])
        change = in_before * u_before + in_here * u_here
        along = 0.0
        for index in range(first, links):
            along += reached(points[row, index])[1] * vectors[row, index]
        for index in range(first, links):
            _, rise, curve = reached(points[row, index])
            products[row, index] = (bend * along * value + slope * change) * rise + (
                slope * value * curve * vectors[row, index]
            )
        products[row, first] += slope * along * in_here
        products[row, first] += weight * (mixed * u_before + twice_here * u_here)
        if first > 0:
            products[row, first - 1] = slope * along * in_before + weight * (
                twice_before * u_before + mixed * u_here
            )
    return products


@numba.njit(cache=True, error_model="numpy")
def cut_off(points):  # type: ignore[no-untyped-def]
    """Return w, 1 on [-1, 1] and 0 beyond 2 with a smooth step between, and two derivatives."""
    found = np.empty((3, points.size))
    for index in range(points.size):
        step, rise, curve = smooth_step(abs(points[index]) - 1.0)
        found[0, index] = 1.0 - step
        found[1, index] = -rise * np.sign(points[index])
        found[2, index] = -curve
    return found


@numba.njit(cache=True, error_model="numpy")
def hidden_gradient(lower, length, scale):  # type: ignore[no-untyped-def]
    """Return the gradient of ``R = b² / 2 - b psi(v)`` at ``lower = (z, v)``."""
    values, gradients = frontier(lower[:, :-1] / length)
    relative = lower[:, -1] / length
    cut = cut_off(relative)
    found = np.empty_like(lower)
    height = scale * length**2
    for row in range(lower.shape[0]):
        value = height * values[row]
        passed_on = lower[row, -1] * cut[0, row]
        factor = (value - passed_on) * height / length
        found[row, :-1] = factor * gradients[row]
        found[row, -1] = -value * (cut[0, row] + relative[row] * cut[1, row])
    return found


@numba.njit(cache=True, error_model="numpy")
def lower_gradients(upper, lower, kappa, length, scale):  # type: ignore[no-untyped-def]
    """Return the gradients of ``‖z - kappa x‖² / (2 kappa) + v² / 2 + R`` in x and in (z, v)."""
    in_upper, in_lower = np.empty_like(upper), hidden_gradient(lower, length, scale)
    for row in range(upper.shape[0]):
        for index in range(upper.shape[1]):
            miss = lower[row, index] - kappa * upper[row, index]
            in_upper[row, index] = -miss
            in_lower[row, index] += miss / kappa
        in_lower[row, -1] += lower[row, -1]
    return in_upper, in_lower


@numba.njit(cache=True, error_model="numpy")
def visible_gradient(lower, length, scale):  # type: ignore[no-untyped-def]
    """Return the gradient of ``H(z) - b(z) + ell(v)`` at ``lower = (z, v)``."""
    points = lower[:, :-1] / length
    found = np.empty_like(lower)
    found[:, :-1] = scale * length * (chain(points)[1] - frontier(points)[1])
    found[:, -1] = cut_off(lower[:, -1])[0]
    return found
