"""Rollouts simulated step by step, for estimators that need more of them than where they stop.

Importance weights are products of policy ratios along the whole path, so that counts of outcomes do
not carry them (``docs/theory.md`` section 4.10). The cost grows with the number of steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.alias import draw_alias, fill_alias
from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.conditional import usable
from theory_check.kernels.random_bits import (
    draw_index,
    guide_table,
    load_bits,
    next_uniform,
    store_bits,
)
from theory_check.kernels.rows import Rows


class Moves(NamedTuple):
    """Action and successor from every state: rows of ``width`` cells, padded with impossible ones.

    Attributes
    ----------
    width
        Cells of a state.
    pair, successor
        Position of (state, action) among all pairs, and of the next state's row.
    log_ratio
        ``log(wanted policy / policy)`` of the action.
    threshold, alias
        Alias table of each row, as of ``AliasRows``.
    """

    width: int
    pair: NDArray[np.uint64]
    successor: NDArray[np.uint64]
    log_ratio: Floats
    threshold: Floats
    alias: NDArray[np.uint64]


@numba.njit(cache=True, error_model="numpy")
def first_stop_changes(
    states: NDArray[np.uint64],
    policy: Floats,
    log_ratio: Floats,
    rows: Rows,
    initial: Floats,
    discount: float,
    rollouts: int,
) -> Floats:
    """Return how far importance weights change the frequencies of where rollouts stop.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    policy
        Action probabilities that are followed, shape (replicate, s, a); a replicate with a number
        that is not finite gives NaN and draws nothing.
    log_ratio
        ``log(wanted policy / policy)``, shape (replicate, s, a).
    rows
        Of the transition kernel.
    initial
        ``rho0``, shape (s,).
    discount
        A rollout stops with probability ``1 - discount`` after each step.
    rollouts
        Number of rollouts n >= 1.

    Returns
    -------
    changes
        Mean over rollouts of ``(ratio - 1) 1[stops at (s, a)]``, shape (replicate, s, a), with the
        product of policy ratios along the rollout.
    """
    changes = np.zeros(policy.shape)
    continuing = 1.0 / math.log(discount)
    starts = np.cumsum(initial)
    starts_guide = guide_table(starts)
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(log_ratio[replicate])):
            changes[replicate] = np.nan
            continue
        moves = moves_of(policy[replicate], log_ratio[replicate], rows)
        sums = changes[replicate].ravel()
        bits = load_bits(states[replicate])
        for _ in range(rollouts):
            start, bits = draw_index(bits, starts, starts_guide)
            move, total, bits = _leg(bits, np.uint64(start * moves.width), 0.0, moves, continuing)
            sums[moves.pair[move]] += math.expm1(total)
        store_bits(states[replicate], bits)
    changes /= rollouts
    return changes


@numba.njit(cache=True, error_model="numpy")
def two_leg_sums(
    states: NDArray[np.uint64],
    policy: Floats,
    log_ratio: Floats,
    rows: Rows,
    initial: Floats,
    discount: float,
    rollouts: int,
    values: Floats,
    wanted_values: Floats,
) -> tuple[Floats, Floats]:
    """Return what lower-level scores need of rollouts of two legs.

    A rollout stops for the first time at (s, a), goes on with probability ``discount``, and stops for
    good at (s', a').

    Parameters
    ----------
    states, policy, log_ratio, rows, initial, discount, rollouts
        As in :func:`first_stop_changes`.
    values, wanted_values
        Numbers for every (s', a') under both policies, shape (replicate, s, a).

    Returns
    -------
    followed, wanted
        Means over rollouts of ``values(s', a') 1[(s, a)]``, and of ``ratio wanted_values(s', a')
        1[(s, a)]`` with the product of policy ratios along both legs, shape (replicate, s, a).
    """
    followed, wanted = np.zeros(policy.shape), np.zeros(policy.shape)
    continuing = 1.0 / math.log(discount)
    starts = np.cumsum(initial)
    starts_guide = guide_table(starts)
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(log_ratio[replicate])):
            followed[replicate] = np.nan
            wanted[replicate] = np.nan
            continue
        moves = moves_of(policy[replicate], log_ratio[replicate], rows)
        followed_sums, wanted_sums = followed[replicate].ravel(), wanted[replicate].ravel()
        offered, wanted_offered = values[replicate].ravel(), wanted_values[replicate].ravel()
        bits = load_bits(states[replicate])
        for _ in range(rollouts):
            start, bits = draw_index(bits, starts, starts_guide)
            move, total, bits = _leg(bits, np.uint64(start * moves.width), 0.0, moves, continuing)
            stop = last = moves.pair[move]
            uniform, bits = next_uniform(bits)
            if uniform < discount:
                move, total, bits = _leg(bits, moves.successor[move], total, moves, continuing)
                last = moves.pair[move]
            followed_sums[stop] += offered[last]
            wanted_sums[stop] += math.exp(total) * wanted_offered[last]
        store_bits(states[replicate], bits)
    followed /= rollouts
    wanted /= rollouts
    return followed, wanted


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _leg(bits, row, total, moves, continuing):  # type: ignore[no-untyped-def]
    """Follow the policy until the rollout stops.

    The number of further steps is geometric: ``floor(log U / log discount)`` is at least k with
    probability ``discount^k``. Starts in the state of ``row``; returns the last move, the sum of
    log-ratios along the way added to ``total``, and the generator.
    """
    uniform, bits = next_uniform(bits)
    steps = int(math.log(1.0 - uniform) * continuing)
    move, bits = draw_move(bits, row, moves)
    total += moves.log_ratio[move]
    for _ in range(steps):
        move, bits = draw_move(bits, moves.successor[move], moves)
        total += moves.log_ratio[move]
    return move, total, bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_move(bits, row, moves):  # type: ignore[no-untyped-def]
    """Draw action and successor together from the alias table of a state."""
    return draw_alias(bits, row, moves.width, moves.threshold, moves.alias)


@numba.njit(cache=True, error_model="numpy")
def moves_of(policy, log_ratio, rows):  # type: ignore[no-untyped-def]
    """Return the moves of a policy, tables of shape (s, a), and the rows of a kernel."""
    bounds, columns, chances, _ = rows
    number_of_states, actions = policy.shape
    width = 0
    for state in range(number_of_states):
        width = max(width, bounds[(state + 1) * actions] - bounds[state * actions])
    cells = number_of_states * width
    pair = np.zeros(cells, dtype=np.uint64)
    successor = np.zeros(cells, dtype=np.uint64)
    ratio = np.zeros(cells)
    threshold = np.empty(cells)
    alias = np.empty(cells, dtype=np.uint64)
    for state in range(number_of_states):
        low = state * width
        chance = np.zeros(width)
        move = 0
        for action in range(actions):
            own = state * actions + action
            for entry in range(bounds[own], bounds[own + 1]):
                chance[move] = policy[state, action] * chances[entry]
                pair[low + move] = own
                successor[low + move] = columns[entry] * width
                ratio[low + move] = log_ratio[state, action]
                move += 1
        fill_alias(chance, low, threshold, alias)
    return Moves(width, pair, successor, ratio, threshold, alias)
