"""Trajectories of which one step is drawn at a time, from the policy's rows where they are.

The numbers of a stream are those that :mod:`theory_check.kernels.simulation` takes, in its order: the
same rows give the same trajectories and labels.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.random_bits import load_bits, store_bits
from theory_check.kernels.simulation import labelled
from theory_check.kernels.walks import LANES, choices_of, outcome_of, spread, uniforms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@numba.njit(cache=True, error_model="numpy")
def lane_uniforms(streams, batches, numbers):  # type: ignore[no-untyped-def]
    """Return the uniform numbers of trajectories that are followed ``LANES`` at a time.

    Parameters
    ----------
    streams
        Generator states, shape (replicate, 4); advanced in place.
    batches
        How often so many trajectories are followed.
    numbers
        What each of them takes: one for the first state, one for each action and one for each successor,
        and in the end that of a label.

    Returns
    -------
    numpy.ndarray
        Shape (replicate, numbers, batches * LANES).
    """
    found = np.empty((streams.shape[0], numbers, batches * LANES))
    lanes = np.empty((4, LANES), dtype=np.uint64)
    own = np.empty(LANES)
    for replicate in range(streams.shape[0]):
        bits = spread(load_bits(streams[replicate]), lanes)
        for batch in range(batches):
            for number in range(numbers):
                uniforms(lanes, own)
                found[replicate, number, batch * LANES : (batch + 1) * LANES] = own
        store_bits(streams[replicate], bits)
    return found


@numba.njit(cache=True, error_model="numpy")
def first_states(starts, uniform):  # type: ignore[no-untyped-def]
    """Return first states by the law of :func:`theory_check.kernels.walks.starts_of`, of any shape."""
    found = np.empty(uniform.size, dtype=np.int64)
    width = np.uint64(starts.threshold.size)
    numbers = uniform.ravel()
    for place in range(found.size):
        found[place] = outcome_of(numbers[place], np.uint64(0), width, starts)
    return found.reshape(uniform.shape)


@numba.njit(cache=True, error_model="numpy")
def taken_actions(policy, uniform):  # type: ignore[no-untyped-def]
    """Return the action of every trajectory.

    Parameters
    ----------
    policy
        Action probabilities where it is, shape (trajectory, action).
    uniform
        Shape (trajectory,).
    """
    trajectories, actions = policy.shape
    choices = choices_of(policy.reshape(1, trajectories, actions))
    found = np.empty(trajectories, dtype=np.int64)
    for place in range(trajectories):
        low = np.uint64(place) * np.uint64(actions)
        found[place] = outcome_of(uniform[place], low, np.uint64(actions), choices) - low
    return found


@numba.njit(cache=True, error_model="numpy")
def next_states(moves, pairs, uniform):  # type: ignore[no-untyped-def]
    """Return the state behind every pair of state and action, of any shape."""
    found = np.empty(uniform.size, dtype=np.int64)
    behind, numbers = pairs.ravel(), uniform.ravel()
    for place in range(found.size):
        low, high = moves.bounds[behind[place]], moves.bounds[behind[place] + 1]
        found[place] = outcome_of(numbers[place], low, high - low, moves.states)
    return found.reshape(uniform.shape)


@numba.njit(cache=True, error_model="numpy")
def drawn_labels(
    difference: Floats,
    true_difference: Floats,
    uniform: Floats,
    annotator: tuple[int, float, float, float],
    excess: bool,
) -> tuple[Floats, Floats]:
    """Return the loss of a label of every pair, and ``P_phi - y`` of its first member.

    Parameters
    ----------
    difference, true_difference, uniform
        As of :func:`theory_check.kernels.simulation.labelled`, shape (replicate, pair).
    annotator, excess
        As of :func:`theory_check.kernels.simulation.simulated_pairs`.
    """
    losses, residuals = np.empty(uniform.shape), np.empty(uniform.shape)
    for replicate in range(uniform.shape[0]):
        for pair in range(uniform.shape[1]):
            losses[replicate, pair], residuals[replicate, pair] = labelled(
                difference[replicate, pair],
                true_difference[replicate, pair],
                uniform[replicate, pair],
                annotator,
                excess,
            )
    return losses, residuals
