from __future__ import annotations

import numpy as np

from theory_check.kernels.random_bits import next_uniform, next_word, seeded_states


def test_words_and_uniforms_equal_those_of_numpy() -> None:
    entropy = (0, 7, 2**100 + 3)
    words, uniforms = seeded_states(entropy), seeded_states(entropy)
    assert words.shape == (3, 4)
    for row, value in enumerate(entropy):
        numpy_bits = np.random.SFC64(np.random.SeedSequence(value))
        assert [int(next_word(words[row])) for _ in range(2000)] == numpy_bits.random_raw(
            2000
        ).tolist()
        numpy_generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(value)))
        assert [next_uniform(uniforms[row]) for _ in range(2000)] == numpy_generator.random(
            2000
        ).tolist()


def test_states_of_equal_entropy_are_equal_and_others_differ() -> None:
    states = seeded_states([4, 4, 5])
    assert (states[0] == states[1]).all()
    assert (states[0] != states[2]).any()
