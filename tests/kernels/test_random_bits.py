from __future__ import annotations

import numba
import numpy as np
import pytest

from theory_check.kernels.random_bits import (
    load_bits,
    next_uniform,
    next_word,
    seeded_states,
    store_bits,
)


@numba.njit
def draw(state: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return words from ``state``, and then uniforms; the state is stored once in between."""
    words, uniforms = np.empty(number, dtype=np.uint64), np.empty(number)
    bits = load_bits(state)
    for i in range(number):
        words[i], bits = next_word(bits)
    store_bits(state, bits)
    bits = load_bits(state)
    for i in range(number):
        uniforms[i], bits = next_uniform(bits)
    return words, uniforms


@pytest.mark.slow
def test_words_and_uniforms_equal_those_of_numpy() -> None:
    entropy = (0, 7, 2**100 + 3)
    states = seeded_states(entropy)
    assert states.shape == (3, 4)
    for row, value in enumerate(entropy):
        words, uniforms = draw(states[row], 2000)
        numpy_bits = np.random.SFC64(np.random.SeedSequence(value))
        assert (words == numpy_bits.random_raw(2000)).all()
        assert (uniforms == np.random.Generator(numpy_bits).random(2000)).all()


def test_states_of_equal_entropy_are_equal_and_others_differ() -> None:
    states = seeded_states([4, 4, 5])
    assert (states[0] == states[1]).all()
    assert (states[0] != states[2]).any()
