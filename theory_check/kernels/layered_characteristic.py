"""Expectations over pairs of returns by characteristic functions, where every state belongs to one step.

``docs/theory.md`` section 2.9, as in ``kernels/characteristic.py``; but every state is passed once,
backwards and forwards, since its step h is known, and ``after(s, a)`` is ``E[exp(i w R_{h:}) | s, a]``.
Complex numbers are two real arrays, frequencies innermost.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from theory_check.kernels.pair_characteristics import (
    crosses_of,
    dot,
    multiply,
    real_part,
    squares_of,
)
from theory_check.kernels.rows import Rows

_FAST = {"reassoc", "nsz", "contract"}


@numba.njit(cache=True, error_model="numpy")
def layered_squares(  # type: ignore[no-untyped-def]
    rows, last, start, policy, reward, discounts, frequencies, weights
):
    """Return ``sum_l weight_l |chi(w_l)|^2`` and its derivatives.

    Parameters
    ----------
    rows
        The kernel as :class:`~theory_check.kernels.rows.Rows`; successors are later states.
    last
        The first state of the last layer.
    start
        Law of the first state, shape (s,).
    policy, reward
        Shape (s, a).
    discounts
        ``gamma^h`` of the step of every state, shape (s,).
    frequencies, weights
        One block, shape (frequency,).

    Returns
    -------
    value
        A number.
    in_policy
        ``policy`` times its derivative in ``policy`` as if entries were free, shape (s, a).
    in_reward, in_start
        Derivatives, shapes (s, a) and (s,).
    """
    states, actions = policy.shape
    size = frequencies.size
    phases = _phases(reward, discounts, frequencies)
    after = np.empty((states * actions, 2 * size))
    here = np.zeros((states, 2 * size))
    for state in range(states - 1, -1, -1):
        for action in range(actions):
            pair = state * actions + action
            _expected(rows, pair, state >= last, here, after[pair])
            _turned(phases[pair], after[pair])
            _add(policy[state, action], after[pair], here[state])
    chi = dot(start, here)
    value, slope, turned = squares_of(chi, frequencies, weights)
    in_start = np.empty(states)
    in_policy, in_reward = np.empty(policy.shape), np.empty(policy.shape)
    arrived = np.zeros((states, 2 * size))
    product, leaving = np.empty(2 * size), np.empty(2 * size)
    for state in range(states):
        in_start[state] = real_part(slope, here[state])
        arrived[state, :size] += start[state]
        for action in range(actions):
            pair = state * actions + action
            chance = policy[state, action]
            multiply(arrived[state], after[pair], product)
            in_policy[state, action] = chance * real_part(slope, product)
            gain = discounts[state] * chance
            in_reward[state, action] = gain * real_part(turned, product)
            if state < last:
                multiply(arrived[state], phases[pair], leaving)
                _leave(rows, pair, chance, leaving, arrived)
    return value, in_policy, in_reward, in_start


@numba.njit(cache=True, error_model="numpy")
def layered_crosses(  # type: ignore[no-untyped-def]
    rows, last, start, policy, reward, true_reward, discounts, frequencies, weights, squared
):
    """Return ``sum_l weight_l E[sin(w_l D*) D] + squared_l E[cos(w_l D*)]`` and its derivatives.

    ``D`` and ``D*`` are the differences of two independent returns under ``reward`` and ``true_reward``.
    Arguments and results as of :func:`layered_squares`; ``squared`` has shape (frequency,).
    """
    states, actions = policy.shape
    size = frequencies.size
    phases = _phases(true_reward, discounts, frequencies)
    after = np.empty((states * actions, 2 * size))
    carried = np.empty((states * actions, 2 * size))  # E[R_{h:} exp(i w R*_{h:}) | s_h, a_h]
    here, there = np.zeros((states, 2 * size)), np.zeros((states, 2 * size))
    for state in range(states - 1, -1, -1):
        for action in range(actions):
            pair = state * actions + action
            _expected(rows, pair, state >= last, here, after[pair])
            _expected(rows, pair, False, there, carried[pair])
            if state >= last:
                carried[pair] = 0.0
            gain = discounts[state] * reward[state, action]
            _add(gain, after[pair], carried[pair])
            _turned(phases[pair], after[pair])
            _turned(phases[pair], carried[pair])
            _add(policy[state, action], after[pair], here[state])
            _add(policy[state, action], carried[pair], there[state])
    chi, xi = dot(start, here), dot(start, there)
    value, in_xi, in_chi = crosses_of(chi, xi, weights, squared)
    in_start = np.empty(states)
    in_policy, in_reward = np.empty(policy.shape), np.empty(policy.shape)
    arrived = np.zeros((states, 2 * size))
    gathered = np.zeros((states, 2 * size))  # E[R_{:h} exp(i w R*_{:h}); s_h]
    product, more = np.empty(2 * size), np.empty(2 * size)
    leaving, taking = np.empty(2 * size), np.empty(2 * size)
    for state in range(states):
        in_start[state] = real_part(in_chi, here[state]) + real_part(in_xi, there[state])
        arrived[state, :size] += start[state]
        for action in range(actions):
            pair = state * actions + action
            chance = policy[state, action]
            multiply(arrived[state], after[pair], product)
            slope = real_part(in_chi, product)
            in_reward[state, action] = discounts[state] * chance * real_part(in_xi, product)
            multiply(gathered[state], after[pair], more)
            slope += real_part(in_xi, more)
            multiply(arrived[state], carried[pair], more)
            slope += real_part(in_xi, more)
            in_policy[state, action] = chance * slope
            if state < last:
                multiply(arrived[state], phases[pair], leaving)
                multiply(gathered[state], phases[pair], taking)
                _add(discounts[state] * reward[state, action], leaving, taking)
                _leave(rows, pair, chance, leaving, arrived)
                _leave(rows, pair, chance, taking, gathered)
    return value, in_policy, in_reward, in_start


@numba.njit(cache=True, error_model="numpy")
def layered_log_moments(  # type: ignore[no-untyped-def]
    rows, last, start, policy, reward, discounts, exponents
):
    """Return ``log E[exp(t R)]`` for every exponent t; arguments as of :func:`layered_squares`."""
    states, actions = policy.shape
    found = np.empty(exponents.size)
    here = np.empty(states)  # logarithms
    terms = np.empty(actions)
    for index in range(exponents.size):
        for state in range(states - 1, -1, -1):
            for action in range(actions):
                pair = state * actions + action
                terms[action] = exponents[index] * discounts[state] * reward[state, action]
                if state < last:
                    terms[action] += _log_mean(rows, pair, here)
            here[state] = _log_sum(policy[state], terms)
        found[index] = _log_sum(start, here)
    return found


@numba.njit(cache=True, error_model="numpy")
def _log_mean(rows: Rows, pair, values):  # type: ignore[no-untyped-def]
    low, high = rows.bounds[pair], rows.bounds[pair + 1]
    largest = -np.inf
    for entry in range(low, high):
        largest = max(largest, values[rows.columns[entry]])
    total = 0.0
    for entry in range(low, high):
        total += rows.chances[entry] * math.exp(values[rows.columns[entry]] - largest)
    return largest + math.log(total)


@numba.njit(cache=True, error_model="numpy")
def _log_sum(weights, values):  # type: ignore[no-untyped-def]
    """Return the logarithm of a weighted sum of exponentials; weights of 0 do not count."""
    largest = -np.inf
    for index in range(weights.size):
        if weights[index] > 0.0:
            largest = max(largest, values[index])
    total = 0.0
    for index in range(weights.size):
        if weights[index] > 0.0:
            total += weights[index] * math.exp(values[index] - largest)
    return largest + math.log(total)


@numba.njit(cache=True, error_model="numpy")
def _phases(reward, discounts, frequencies):  # type: ignore[no-untyped-def]
    """Return ``exp(i w gamma^h r)``, shape (s * a, 2 * frequency)."""
    states, actions = reward.shape
    size = frequencies.size
    found = np.empty((states * actions, 2 * size))
    for state in range(states):
        for action in range(actions):
            row = found[state * actions + action]
            gain = discounts[state] * reward[state, action]
            for index in range(size):
                angle = frequencies[index] * gain
                row[index] = math.cos(angle)
                row[size + index] = math.sin(angle)
    return found


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _expected(rows: Rows, pair, over, values, ahead):  # type: ignore[no-untyped-def]
    """Write ``sum_{s'} P(s'|s, a) value(s')``, 1 where the episode is over."""
    ahead[:] = 0.0
    if over:
        for index in range(ahead.size // 2):
            ahead[index] = 1.0
        return
    for entry in range(rows.bounds[pair], rows.bounds[pair + 1]):
        _add(rows.chances[entry], values[rows.columns[entry]], ahead)


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _turned(phase, values):  # type: ignore[no-untyped-def]
    """Multiply by a phase, in place."""
    size = phase.size // 2
    for index in range(size):
        real, imaginary = values[index], values[size + index]
        values[index] = phase[index] * real - phase[size + index] * imaginary
        values[size + index] = phase[index] * imaginary + phase[size + index] * real


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _add(factor, values, sums):  # type: ignore[no-untyped-def]
    for index in range(sums.size):
        sums[index] += factor * values[index]


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _leave(rows: Rows, pair, chance, mass, arrived):  # type: ignore[no-untyped-def]
    """Add what leaves by an action where it arrives."""
    for entry in range(rows.bounds[pair], rows.bounds[pair + 1]):
        _add(chance * rows.chances[entry], mass, arrived[rows.columns[entry]])
