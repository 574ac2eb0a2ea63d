"""The SFC64 generator, stepped inside compiled loops.

States are numpy's own (``numpy.random.SFC64(...).state``), and the sequence equals numpy's bit by bit;
compiled code cannot hold a list of numpy generators, one per replicate, so the step is written out.
Algorithm: C. Doty-Humphrey, PractRand, "sfc64".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

Bits: TypeAlias = tuple[np.uint64, np.uint64, np.uint64, np.uint64]
"""A generator as four words. By value, compiled loops keep it in registers; an array would cost them
reference counts, which are atomic, and memory traffic on every draw."""


def seeded_states(entropy: Sequence[int]) -> NDArray[np.uint64]:
    """Return one generator state per entropy value, shape (replicate, 4)."""
    rows = []
    for value in entropy:
        generator = np.random.SFC64(np.random.SeedSequence(value))
        rows.append(generator.state["state"]["state"])
    return np.array(rows, dtype=np.uint64).reshape(len(rows), 4)


@numba.njit(cache=True, inline="always")
def load_bits(state: NDArray[np.uint64]) -> Bits:
    """Return the generator held by ``state``, shape (4,)."""
    return state[0], state[1], state[2], state[3]


@numba.njit(cache=True, inline="always")
def store_bits(state: NDArray[np.uint64], bits: Bits) -> None:
    """Write a generator back to ``state``, shape (4,)."""
    state[0], state[1], state[2], state[3] = bits


@numba.njit(cache=True, inline="always")
def next_word(bits: Bits) -> tuple[np.uint64, Bits]:
    """Return 64 random bits and the generator after them."""
    a, b, c, counter = bits
    word = a + b + counter
    rotated = (c << np.uint64(24)) | (c >> np.uint64(40))
    following = (
        b ^ (b >> np.uint64(11)),
        c + (c << np.uint64(3)),
        rotated + word,
        counter + np.uint64(1),
    )
    return word, following


@numba.njit(cache=True, inline="always")
def next_uniform(bits: Bits) -> tuple[float, Bits]:
    """Return a uniform number in [0, 1) with 53 random bits, and the generator after it."""
    word, following = next_word(bits)
    return np.float64(word >> np.uint64(11)) * (1.0 / 9007199254740992.0), following


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
