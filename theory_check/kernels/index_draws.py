"""Drawing indices from a discrete law by inversion, with a table of where to start looking."""

from __future__ import annotations

import numba
import numpy as np

from theory_check.kernels.random_bits import next_uniform


@numba.njit(cache=True, error_model="numpy")
def guide_table(cumulative):  # type: ignore[no-untyped-def]
    """Return where to start looking for each of equally spaced targets.

    Inverting a distribution then takes a bounded number of steps on average (Chen and Asau 1974).
    """
    guide = np.empty(cumulative.size, dtype=np.int64)
    fill_guide(cumulative, guide, 0, cumulative.size)
    return guide


@numba.njit(cache=True, error_model="numpy")
def fill_guide(cumulative, guide, low, high):  # type: ignore[no-untyped-def]
    """Write the guide of the law whose running sums are ``cumulative[low:high]``."""
    outcome = low
    for cell in range(high - low):
        target = cumulative[high - 1] * cell / (high - low)
        while cumulative[outcome] <= target and outcome < high - 1:
            outcome += 1
        guide[low + cell] = outcome


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_index(bits, cumulative, guide):  # type: ignore[no-untyped-def]
    """Draw an index from the law whose running sums are ``cumulative``."""
    return draw_index_within(bits, cumulative, guide, 0, cumulative.size)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_index_within(bits, cumulative, guide, low, high):  # type: ignore[no-untyped-def]
    """Draw an index from the law whose running sums are ``cumulative[low:high]``."""
    uniform, bits = next_uniform(bits)
    target = uniform * cumulative[high - 1]
    index = guide[low + int(uniform * (high - low))]
    while cumulative[index] <= target and index < high - 1:
        index += 1
    return index, bits
