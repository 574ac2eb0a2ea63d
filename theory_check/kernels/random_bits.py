"""The SFC64 generator, stepped inside compiled loops.

States are numpy's own (``numpy.random.SFC64(...).state``), and the sequence equals numpy's bit by bit;
compiled code cannot hold a list of numpy generators, one per replicate, so the step is written out.
Algorithm: C. Doty-Humphrey, PractRand, "sfc64".
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray


def seeded_states(entropy: Sequence[int]) -> NDArray[np.uint64]:
    """Return one generator state per entropy value, shape (replicate, 4)."""
    rows = []
    for value in entropy:
        generator = np.random.SFC64(np.random.SeedSequence(value))
        rows.append(generator.state["state"]["state"])
    return np.array(rows, dtype=np.uint64).reshape(len(rows), 4)


@numba.njit(cache=True, inline="always")
def next_word(state: NDArray[np.uint64]) -> np.uint64:
    """Advance ``state`` (4 words, in place) and return 64 random bits."""
    word: np.uint64 = state[0] + state[1] + state[3]
    state[3] += np.uint64(1)
    state[0] = state[1] ^ (state[1] >> np.uint64(11))
    state[1] = state[2] + (state[2] << np.uint64(3))
    rotated = (state[2] << np.uint64(24)) | (state[2] >> np.uint64(40))
    state[2] = rotated + word
    return word


@numba.njit(cache=True, inline="always")
def next_uniform(state: NDArray[np.uint64]) -> float:
    """Advance ``state`` and return a uniform number in [0, 1) with 53 random bits."""
    return np.float64(next_word(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
