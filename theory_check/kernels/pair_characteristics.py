"""What two independent returns make of a characteristic function, with derivatives.

``docs/theory.md`` section 2.9. Complex numbers are two real arrays, one behind the other.
"""

from __future__ import annotations

import numba
import numpy as np

_FAST = {"reassoc", "nsz", "contract"}


@numba.njit(cache=True, error_model="numpy")
def squares_of(chi, frequencies, weights):  # type: ignore[no-untyped-def]
    """Return ``sum_l weight_l |chi_l|^2``, its derivative in ``chi``, and that times ``i w_l``."""
    size = weights.size
    value = 0.0
    slope, turned = np.empty(2 * size), np.empty(2 * size)
    for index in range(size):
        real, imaginary = chi[index], chi[size + index]
        value += weights[index] * (real * real + imaginary * imaginary)
        slope[index] = 2.0 * weights[index] * real
        slope[size + index] = -2.0 * weights[index] * imaginary
        turned[index] = -frequencies[index] * slope[size + index]
        turned[size + index] = frequencies[index] * slope[index]
    return value, slope, turned


@numba.njit(cache=True, error_model="numpy")
def crosses_of(chi, xi, weights, squared):  # type: ignore[no-untyped-def]
    """Return ``sum_l 2 weight_l Im(xi_l conj(chi_l)) + squared_l |chi_l|^2``, and its derivatives.

    Those in ``xi`` and ``chi``: ``d value = Re(in_xi dxi + in_chi dchi)``.
    """
    size = weights.size
    value = 0.0
    in_xi, in_chi = np.empty(2 * size), np.empty(2 * size)
    for index in range(size):
        real, imaginary = chi[index], chi[size + index]
        more_real, more_imaginary = xi[index], xi[size + index]
        weight, square = 2.0 * weights[index], squared[index]
        value += weight * (more_imaginary * real - more_real * imaginary)
        value += square * (real * real + imaginary * imaginary)
        in_xi[index], in_xi[size + index] = -weight * imaginary, -weight * real
        in_chi[index] = weight * more_imaginary + 2.0 * square * real
        in_chi[size + index] = weight * more_real - 2.0 * square * imaginary
    return value, in_xi, in_chi


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def dot(start, values):  # type: ignore[no-untyped-def]
    """Return ``sum_s start_s values_s``, over rows."""
    total = np.zeros(values.shape[1])
    for state in range(start.size):
        for index in range(total.size):
            total[index] += start[state] * values[state, index]
    return total


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def multiply(left, right, product):  # type: ignore[no-untyped-def]
    """Write the product of complex numbers."""
    size = left.size // 2
    for index in range(size):
        real, imaginary = left[index], left[size + index]
        product[index] = real * right[index] - imaginary * right[size + index]
        product[size + index] = real * right[size + index] + imaginary * right[index]


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def real_part(slope, values):  # type: ignore[no-untyped-def]
    """Return the real part of the sum of products of complex numbers."""
    size = slope.size // 2
    total = 0.0
    for index in range(size):
        total += slope[index] * values[index] - slope[size + index] * values[size + index]
    return total
