"""Alias tables and trajectories that are followed together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.walks import (
    LANES,
    begin,
    choices_of,
    follow,
    next_states_of,
    spread,
    starts_of,
    uniforms,
)

STATES, ACTIONS, LENGTH = 4, 3, 5


def bits_of(seed: int) -> tuple[np.uint64, ...]:
    """A stream as kernels hold it."""
    return tuple(np.uint64(word) for word in seeded_states([seed])[0])


def law_of(table: object, low: int, high: int, outcomes: int) -> np.ndarray:
    """Add up the table: every cell has the same chance, shared between its outcome and its alias."""
    threshold, outcome = table  # type: ignore[misc]
    law = np.zeros(outcomes)
    for cell in range(low, high):
        law[outcome[2 * cell]] += threshold[cell] / (high - low)
        law[outcome[2 * cell + 1]] += (1 - threshold[cell]) / (high - low)
    return law


def rows(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse rows of different lengths."""
    kernel = generator.random((STATES * ACTIONS, STATES)) * (
        generator.random((STATES * ACTIONS, STATES)) < 0.6
    )
    kernel[:, 1] += 0.1
    kernel /= kernel.sum(1, keepdims=True)
    bounds = np.concatenate([[0], np.cumsum((kernel > 0).sum(1))])
    return bounds.astype(np.int64), np.nonzero(kernel)[1].astype(np.int64), kernel[kernel > 0]


@pytest.mark.parametrize("seed", range(5))
def test_tables_have_the_law_they_were_made_of(seed: int) -> None:
    """Every probability is the sum of its cells, to rounding; an action that is absent has none."""
    generator = np.random.default_rng(seed)
    bounds, columns, chances = rows(generator)
    moves = next_states_of(bounds, columns, chances)
    for pair in range(STATES * ACTIONS):
        low, high = bounds[pair], bounds[pair + 1]
        expected = np.zeros(STATES)
        expected[columns[low:high]] = chances[low:high]
        assert np.allclose(law_of(moves[1], low, high, STATES), expected, atol=1e-14)
    policy = generator.dirichlet(np.ones(ACTIONS), size=(2, STATES))
    policy[0, 1] = [0.0, 0.25, 0.75]
    choices = choices_of(policy)
    for row, law in enumerate(policy.reshape(-1, ACTIONS)):
        found = law_of(choices, row * ACTIONS, (row + 1) * ACTIONS, STATES * ACTIONS)
        first = row % STATES * ACTIONS
        assert np.allclose(found[first : first + ACTIONS], law, atol=1e-14)
        assert found.sum() == pytest.approx(1, abs=1e-14)
    assert np.allclose(
        law_of(starts_of(policy[1, 0]), 0, ACTIONS, ACTIONS), policy[1, 0], atol=1e-14
    )


def test_lanes_are_numpys_generators_seeded_with_words_of_the_stream() -> None:
    """Lane 7: three words of the stream after 21 others, a counter of 1, twelve rounds unused."""
    stream = np.random.SFC64(np.random.SeedSequence(5))
    words = stream.random_raw(3 * LANES)
    lanes = np.empty((4, LANES), dtype=np.uint64)
    after = spread(bits_of(5), lanes)
    assert tuple(after) == tuple(stream.state["state"]["state"])

    lane = np.random.SFC64()
    lane.state = {**lane.state, "state": {"state": np.array([*words[21:24], 1], dtype=np.uint64)}}
    lane.random_raw(12)
    found = np.empty(LANES)
    for _ in range(3):
        uniforms(lanes, found)
        assert found[7] == np.random.Generator(lane).random()


@pytest.mark.parametrize("stationary", [False, True])
def test_trajectories_follow_their_law(stationary: bool) -> None:
    """Every pair at every step within 5.3 standard deviations: 60 numbers, a false alarm of 7e-6."""
    generator = np.random.default_rng(1)
    bounds, columns, chances = rows(generator)
    policy = generator.dirichlet(np.ones(ACTIONS), size=(1 if stationary else LENGTH, STATES))
    start = generator.dirichlet(np.ones(STATES))
    moves, choices, starts = (
        next_states_of(bounds, columns, chances),
        choices_of(policy),
        starts_of(start),
    )
    lanes = np.empty((4, LANES), dtype=np.uint64)
    spread(bits_of(2), lanes)
    places, path = np.empty(LANES, dtype=np.uint32), np.empty((LENGTH, LANES), dtype=np.uint32)
    batches = 4000
    counts = np.zeros((LENGTH, STATES * ACTIONS))
    for _ in range(batches):
        begin(lanes, starts, places)
        follow(lanes, places, choices, moves, ACTIONS, 0 if stationary else STATES * ACTIONS, path)
        for step in range(LENGTH):
            counts[step] += np.bincount(path[step], minlength=STATES * ACTIONS)
    kernel = np.zeros((STATES * ACTIONS, STATES))
    for pair in range(STATES * ACTIONS):
        kernel[pair, columns[bounds[pair] : bounds[pair + 1]]] = chances[
            bounds[pair] : bounds[pair + 1]
        ]
    law, number = start, batches * LANES
    for step in range(LENGTH):
        joint = (law[:, None] * policy[0 if stationary else step]).ravel()
        spread_of = np.sqrt(number * joint * (1 - joint)) + 1e-9
        assert np.abs((counts[step] - number * joint) / spread_of).max() < 5.3
        law = joint @ kernel


def test_lanes_are_independent_of_each_other_and_of_their_past() -> None:
    """Correlations of neighbouring lanes and of draws in turn, |z| < 5.3 of 64: a false alarm of 8e-6."""
    lanes = np.empty((4, LANES), dtype=np.uint64)
    spread(bits_of(3), lanes)
    drawn = np.empty((20_000, LANES))
    for row in drawn:
        uniforms(lanes, row)
    centred = (drawn - 0.5) * math.sqrt(12)
    size = math.sqrt(len(drawn))
    for other in (np.roll(centred, 1, axis=1), np.roll(centred, 1, axis=0)):
        z = (centred * other).mean(0) * size
        assert np.abs(z).max() < 5.3
