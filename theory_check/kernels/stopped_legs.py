"""Where rollouts that stop do so, drawn leg by leg from the laws of stops, and never step by step.

The second leg of a rollout starts where its first stop leads and stops, after however many steps, in a
state whose law is known (``docs/theory.md`` section 4.8). Tables of the size of the dynamics and of that
law are enough to draw it, where the law of both stops has a number for every two pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.alias import AliasRows, alias_rows, draw_from_row
from theory_check.kernels.binomial import binomial
from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.conditional import usable
from theory_check.kernels.draws import trajectory_frequencies
from theory_check.kernels.random_bits import load_bits, store_bits
from theory_check.kernels.rows import Rows


class Successors(NamedTuple):
    """Which states follow a state and action.

    Attributes
    ----------
    state
        The possible ones, then others, shape (pair, width).
    table
        Their law, one row for each pair.
    """

    state: NDArray[np.int64]
    table: AliasRows


@numba.njit(cache=True, error_model="numpy")
def successors_of(rows: Rows) -> Successors:
    """Return the possible successors of every pair."""
    bounds, columns, chances, _ = rows
    pairs = bounds.size - 1
    width = 0
    for pair in range(pairs):
        width = max(width, bounds[pair + 1] - bounds[pair])
    found, law = np.zeros((pairs, width), dtype=np.int64), np.zeros((pairs, width))
    for pair in range(pairs):
        for move in range(bounds[pair + 1] - bounds[pair]):
            found[pair, move] = columns[bounds[pair] + move]
            law[pair, move] = chances[bounds[pair] + move]
    return Successors(found, alias_rows(law))


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_second_stop(bits, pair, successors, stops):  # type: ignore[no-untyped-def]
    """Draw the state where a leg stops that goes on from a pair, from tables of ``stops_from``."""
    move, bits = draw_from_row(bits, pair, successors.table)
    return draw_from_row(bits, successors.state[pair, move], stops)


@numba.njit(cache=True, error_model="numpy")
def two_stop_means(
    states: NDArray[np.uint64],
    policy: Floats,
    first_stops: Floats,
    stops_from: Floats,
    rows: Rows,
    discount: float,
    rollouts: int,
    values: Floats,
) -> Floats:
    """Return means over rollouts of two legs, of a number for the second stop by the first one.

    A rollout stops for the first time at (s, a), goes on with probability ``discount``, and stops for
    good at (s', a'). The cost grows with the number of rollouts, and not with that of their steps.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    policy
        Action probabilities, shape (replicate, pair).
    first_stops
        Law of (s, a), shape (replicate, pair); a replicate with a number that is not finite here, in the
        policy or in ``stops_from`` gives NaN and draws nothing.
    stops_from
        Law of the state of a stop given that of the start, shape (replicate, s, s).
    rows
        ``P(s'|s, a)`` of every pair.
    discount
        A rollout goes on with this probability after its first stop.
    rollouts
        Number of rollouts n >= 1.
    values
        A number for every (s', a'), shape (replicate, pair).

    Returns
    -------
    means
        Mean of ``values(s', a') 1[(s, a)]``, shape (replicate, pair).
    """
    pairs, number_of_states = policy.shape[1], stops_from.shape[1]
    actions = pairs // number_of_states
    bounds, columns, _, conditional = rows
    means = np.zeros(policy.shape)
    for replicate in range(policy.shape[0]):
        own = states[replicate : replicate + 1]
        laws = (policy[replicate], first_stops[replicate], stops_from[replicate])
        if not (usable(laws[0]) and usable(laws[1]) and usable(laws[2])):
            means[replicate] = np.nan
            continue
        stopped = trajectory_frequencies(own, first_stops[replicate : replicate + 1], rollouts)[0]
        stops = alias_rows(stops_from[replicate])
        taken = alias_rows(policy[replicate].copy().reshape(number_of_states, actions))
        offered = values[replicate]
        bits = load_bits(states[replicate])
        for pair in range(pairs):
            number = round(stopped[pair] * rollouts)
            left, bits = binomial(bits, number, discount)
            total = (number - left) * offered[pair]
            for entry in range(bounds[pair], bounds[pair + 1]):
                if left == 0:
                    break
                going, bits = binomial(bits, left, conditional[entry])
                left -= going
                for _ in range(going):
                    stop, bits = draw_from_row(bits, columns[entry], stops)
                    last, bits = draw_from_row(bits, stop, taken)
                    total += offered[stop * np.uint64(actions) + last]
            means[replicate, pair] = total / rollouts
        store_bits(states[replicate], bits)
    return means
