"""Trajectories followed step by step, many at a time, so that no draw waits for the one before it.

A stream is spread over ``LANES`` generators seeded from it, and each follows its own trajectories
(``docs/theory.md`` section 4.12).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.alias import alias_rows, fill_alias
from theory_check.kernels.random_bits import next_uniform, next_word

LANES = 32
"""Trajectories that are followed together."""

WARM_UP = 12
"""Rounds that mix a new seed, as numpy runs them."""

UNIT = 1.0 / 9007199254740992.0

Floats = NDArray[np.float64]
Positions = NDArray[np.uint32]


class Table(NamedTuple):
    """Alias tables of several laws, one after the other.

    Attributes
    ----------
    threshold
        Probability with which a cell is kept, shape (cell,).
    outcome
        What a cell stands for, and what its alias stands for, in turns, shape (2 * cell,).
    """

    threshold: Floats
    outcome: Positions


class NextStates(NamedTuple):
    """Successors of every state and action.

    Attributes
    ----------
    bounds
        First cell of every pair of state and action, and the end, shape (s * a + 1,).
    states
        The successors.
    """

    bounds: NDArray[np.uint64]
    states: Table


class Scratch(NamedTuple):
    """What all batches of lanes of a call write.

    Attributes
    ----------
    lanes, places
        Generators, shape (4, LANES), and states, shape (LANES,).
    path
        Shape (h, LANES).
    first, second
        A number of every lane, shape (LANES,).
    """

    lanes: NDArray[np.uint64]
    places: Positions
    path: Positions
    first: Floats
    second: Floats


@numba.njit(cache=True, error_model="numpy")
def scratch(length):  # type: ignore[no-untyped-def]
    """Return what trajectories of this length are written to."""
    return Scratch(
        np.empty((4, LANES), dtype=np.uint64),
        np.empty(LANES, dtype=np.uint32),
        np.empty((length, LANES), dtype=np.uint32),
        np.empty(LANES),
        np.empty(LANES),
    )


@numba.njit(cache=True, error_model="numpy")
def next_states_of(bounds, columns, chances):  # type: ignore[no-untyped-def]
    """Return the successors of every pair.

    Parameters
    ----------
    bounds, columns, chances
        Rows of the sparse kernel (s * a, s).
    """
    threshold = np.empty(chances.size)
    alias = np.empty(chances.size, dtype=np.uint64)
    for row in range(bounds.size - 1):
        fill_alias(chances[bounds[row] : bounds[row + 1]], bounds[row], threshold, alias)
    return NextStates(bounds.astype(np.uint64), _table(threshold, alias, columns))


@numba.njit(cache=True, error_model="numpy")
def choices_of(policy):  # type: ignore[no-untyped-def]
    """Return the actions of every step and state, as positions among pairs of state and action.

    Parameters
    ----------
    policy
        Shape (h, s, a).
    """
    steps, states, actions = policy.shape
    tables = alias_rows(policy.reshape(steps * states, actions))
    pair = np.arange(policy.size) % (states * actions)
    return _table(tables.threshold, tables.alias, pair)


@numba.njit(cache=True, error_model="numpy")
def starts_of(law):  # type: ignore[no-untyped-def]
    """Return the first states of a law, shape (s,)."""
    tables = alias_rows(law.reshape(1, law.size))
    return _table(tables.threshold, tables.alias, np.arange(law.size))


@numba.njit(cache=True, error_model="numpy")
def _table(threshold, alias, meaning):  # type: ignore[no-untyped-def]
    outcome = np.empty(2 * threshold.size, dtype=np.uint32)
    for cell in range(threshold.size):
        outcome[2 * cell] = meaning[cell]
        outcome[2 * cell + 1] = meaning[alias[cell]]
    return Table(threshold, outcome)


@numba.njit(cache=True, error_model="numpy")
def spread(bits, lanes):  # type: ignore[no-untyped-def]
    """Seed the generators of all lanes, shape (4, LANES), from a stream; return the stream."""
    for lane in range(LANES):
        for word in range(3):
            lanes[word, lane], bits = next_word(bits)
        lanes[3, lane] = np.uint64(1)
    unused = np.empty(LANES)
    for _ in range(WARM_UP):
        uniforms(lanes, unused)
    return bits


@numba.njit(cache=True, error_model="numpy")
def uniforms(lanes, found):  # type: ignore[no-untyped-def]
    """Write one uniform number of every lane, shape (LANES,): :func:`next_uniform`, lane by lane."""
    first, second, third, counter = lanes[0], lanes[1], lanes[2], lanes[3]
    for lane in range(LANES):
        word = first[lane] + second[lane] + counter[lane]
        rotated = (third[lane] << np.uint64(24)) | (third[lane] >> np.uint64(40))
        first[lane] = second[lane] ^ (second[lane] >> np.uint64(11))
        second[lane] = third[lane] + (third[lane] << np.uint64(3))
        third[lane] = rotated + word
        counter[lane] += np.uint64(1)
        # Below 2^53: the signed conversion is the same, and processors have it for many at a time.
        found[lane] = np.float64(np.int64(word >> np.uint64(11))) * UNIT


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def outcome_of(uniform, low, width, table):  # type: ignore[no-untyped-def]
    """Return the outcome of a uniform number under the law in cells ``low`` to ``low + width``."""
    scaled = uniform * np.float64(np.int64(width))
    column = np.uint64(np.int64(scaled))
    cell = low + column
    missed = np.uint64(scaled - np.float64(np.int64(column)) >= table.threshold[cell])
    return np.uint64(table.outcome[np.uint64(2) * cell + missed])


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def drawn(bits, low, width, table):  # type: ignore[no-untyped-def]
    """Draw an outcome of the law in cells ``low`` to ``low + width``; return it and the generator."""
    uniform, bits = next_uniform(bits)
    return outcome_of(uniform, low, width, table), bits


@numba.njit(cache=True, error_model="numpy")
def begin(lanes, starts, places):  # type: ignore[no-untyped-def]
    """Write the first state of every lane, shape (LANES,)."""
    found = np.empty(LANES)
    uniforms(lanes, found)
    width = np.uint64(starts.threshold.size)
    for lane in range(LANES):
        places[lane] = outcome_of(found[lane], np.uint64(0), width, starts)


@numba.njit(cache=True, error_model="numpy")
def follow(lanes, places, choices, moves, actions, stride, path):  # type: ignore[no-untyped-def]
    """Write a trajectory of every lane.

    Parameters
    ----------
    lanes
        Generators, shape (4, LANES); advanced in place.
    places
        First states, shape (LANES,); overwritten.
    choices, moves
        Actions of every step and state, and successors.
    actions
        Number of actions.
    stride
        Cells of a step in ``choices``; 0 where the policy of the first step is followed in all.
    path
        Written: positions of (s_h, a_h) among pairs of state and action, shape (h, LANES).
    """
    found = np.empty(LANES)
    width = np.uint64(actions)
    for step in range(path.shape[0]):
        offset = np.uint64(step * stride)
        uniforms(lanes, found)
        for lane in range(LANES):
            low = offset + np.uint64(places[lane]) * width
            path[step, lane] = outcome_of(found[lane], low, width, choices)
        if step + 1 == path.shape[0]:
            break
        uniforms(lanes, found)
        for lane in range(LANES):
            pair = np.uint64(path[step, lane])
            low = moves.bounds[pair]
            high = moves.bounds[pair + np.uint64(1)]
            places[lane] = outcome_of(found[lane], low, high - low, moves.states)
