"""Expectations over pairs of returns by characteristic functions of the return: no trajectory is formed.

``docs/theory.md`` section 2.9. One replicate and one block of frequencies at a time; complex numbers as
two real arrays, frequencies innermost. ``u_h(s) = E[exp(i w R_{h:}) | s_h = s]`` runs backwards and is
kept before its policy, ``a_h(s) = E[exp(i w R_{:h}); s_h = s]`` forwards, and their product at a step is
the derivative of the characteristic function in the policy there.
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

_FAST = {"reassoc", "nsz", "contract"}


@numba.njit(cache=True, error_model="numpy")
def squared_characteristic(  # type: ignore[no-untyped-def]
    dynamics, start, policy, reward, discounts, frequencies, weights
):
    """Return ``sum_l weight_l |chi(w_l)|^2`` and its derivatives.

    Parameters
    ----------
    dynamics
        As :class:`~theory_check.oracles.comparisons.characteristic.Transitions`: the kernel
        ``(s * a, s)`` and its transpose where it is dense, else empty, and its rows as
        ``(bounds, columns, values)``.
    start
        Law of the first state, shape (s,).
    policy
        Probabilities of actions, shape (h, s, a).
    reward
        Shape (s, a).
    discounts
        ``gamma^h``, shape (h,).
    frequencies, weights
        One block, shape (frequency,).

    Returns
    -------
    value
        A number.
    in_policy
        ``policy`` times its derivative in ``policy`` as if entries were free, shape (h, s, a).
    in_reward
        Derivative in ``reward``, shape (s, a).
    in_start
        Derivative in ``start``, shape (s,).
    """
    horizon, states, actions = policy.shape
    size = frequencies.size
    phases = np.empty((states * actions, 2 * size))
    after = np.empty((horizon, states * actions, 2 * size))
    here = _ones(states, size)
    for step in range(horizon - 1, -1, -1):
        _fill_phases(reward, discounts, step, frequencies, phases, step == horizon - 1)
        _expect(dynamics, here, after[step], step == horizon - 1)
        _turn(phases, after[step])
        _average(policy[step], after[step], here)
    chi = dot(start, here)
    value, slope, turned = squares_of(chi, frequencies, weights)
    in_start = np.empty(states)
    for state in range(states):
        in_start[state] = real_part(slope, here[state])
    in_policy = np.empty(policy.shape)
    in_reward = np.zeros(reward.shape)
    arrived = _spread(start, size)
    leaving = np.empty((states * actions, 2 * size))
    product = np.empty(2 * size)
    for step in range(horizon):
        for state in range(states):
            for action in range(actions):
                pair = state * actions + action
                chance = policy[step, state, action]
                multiply(arrived[state], after[step, pair], product)
                in_policy[step, state, action] = chance * real_part(slope, product)
                in_reward[state, action] += discounts[step] * chance * real_part(turned, product)
        if step < horizon - 1:
            _fill_phases(reward, discounts, step, frequencies, phases, False)
            _leave(policy[step], arrived, phases, leaving)
            _push(dynamics, leaving, arrived)
    return value, in_policy, in_reward, in_start


@numba.njit(cache=True, error_model="numpy")
def crossed_characteristic(  # type: ignore[no-untyped-def]
    dynamics, start, policy, reward, true_reward, discounts, frequencies, weights, squared
):
    """Return ``sum_l weight_l E[sin(w_l D*) D] + squared_l E[cos(w_l D*)]`` and its derivatives.

    ``D`` and ``D*`` are the differences of two independent returns under ``reward`` and ``true_reward``.
    Arguments and results as of :func:`squared_characteristic`; ``squared`` has shape (frequency,).
    """
    horizon, states, actions = policy.shape
    size = frequencies.size
    phases = np.empty((states * actions, 2 * size))
    after = np.empty((horizon, states * actions, 2 * size))
    carried = np.empty((horizon, states * actions, 2 * size))
    here = _ones(states, size)
    there = np.zeros((states, 2 * size))  # E[R_{h:} exp(i w R*_{h:}) | s_h]
    for step in range(horizon - 1, -1, -1):
        last = step == horizon - 1
        _fill_phases(true_reward, discounts, step, frequencies, phases, last)
        _expect(dynamics, here, after[step], last)
        _expect(dynamics, there, carried[step], last)
        if last:
            carried[step] = 0.0
        _turn(phases, after[step])
        _turn(phases, carried[step])
        _average_carried(
            policy[step], reward, discounts[step], after[step], carried[step], here, there
        )
    chi, xi = dot(start, here), dot(start, there)
    value, in_xi, in_chi = crosses_of(chi, xi, weights, squared)
    in_start = np.empty(states)
    for state in range(states):
        in_start[state] = real_part(in_chi, here[state]) + real_part(in_xi, there[state])
    in_policy = np.empty(policy.shape)
    in_reward = np.zeros(reward.shape)
    arrived = _spread(start, size)
    gathered = np.zeros((states, 2 * size))  # E[R_{:h} exp(i w R*_{:h}); s_h]
    leaving = np.empty((states * actions, 2 * size))
    taking = np.empty((states * actions, 2 * size))
    product, further, more = np.empty(2 * size), np.empty(2 * size), np.empty(2 * size)
    for step in range(horizon):
        for state in range(states):
            for action in range(actions):
                pair = state * actions + action
                chance = policy[step, state, action]
                gain = discounts[step] * reward[state, action]
                multiply(arrived[state], after[step, pair], product)
                multiply(gathered[state], after[step, pair], further)
                multiply(arrived[state], carried[step, pair], more)
                _combine(gain, product, more, further)
                in_policy[step, state, action] = chance * (
                    real_part(in_chi, product) + real_part(in_xi, further)
                )
                in_reward[state, action] += discounts[step] * chance * real_part(in_xi, product)
        if step < horizon - 1:
            _fill_phases(true_reward, discounts, step, frequencies, phases, False)
            _leave(policy[step], arrived, phases, leaving)
            _leave(policy[step], gathered, phases, taking)
            for state in range(states):
                for action in range(actions):
                    pair = state * actions + action
                    gain = discounts[step] * reward[state, action]
                    for index in range(2 * size):
                        taking[pair, index] += gain * leaving[pair, index]
            _push(dynamics, leaving, arrived)
            _push(dynamics, taking, gathered)
    return value, in_policy, in_reward, in_start


@numba.njit(cache=True, error_model="numpy")
def extreme_returns(dynamics, reward, discounts):  # type: ignore[no-untyped-def]
    """Return the smallest and the largest return from every state, shape (s,), whatever is chosen."""
    _, _, bounds, columns, chances = dynamics
    states, actions = reward.shape
    lowest, highest = np.zeros(states), np.zeros(states)
    for step in range(discounts.size - 1, -1, -1):
        later_lowest, later_highest = lowest.copy(), highest.copy()
        lowest[:], highest[:] = np.inf, -np.inf
        for state in range(states):
            for action in range(actions):
                gain = discounts[step] * reward[state, action]
                pair = state * actions + action
                for entry in range(bounds[pair], bounds[pair + 1]):
                    if chances[entry] > 0.0:
                        after = columns[entry]
                        lowest[state] = min(lowest[state], gain + later_lowest[after])
                        highest[state] = max(highest[state], gain + later_highest[after])
    return lowest, highest


@numba.njit(cache=True, error_model="numpy")
def log_moments(dynamics, start, policy, reward, discounts, exponents):  # type: ignore[no-untyped-def]
    """Return ``log E[exp(t R)]`` for every exponent t; arguments as of :func:`squared_characteristic`."""
    horizon, states, actions = policy.shape
    size = exponents.size
    level = np.zeros(size)
    here = np.ones((states, size))
    ahead = np.empty((states * actions, size))
    for step in range(horizon - 1, -1, -1):
        _expect(dynamics, here, ahead, False)
        for state in range(states):
            here[state] = 0.0
            for action in range(actions):
                pair = state * actions + action
                chance = policy[step, state, action]
                gain = discounts[step] * reward[state, action]
                for index in range(size):
                    here[state, index] += (
                        chance * ahead[pair, index] * math.exp(exponents[index] * gain)
                    )
        for index in range(size):
            largest = 0.0
            for state in range(states):
                largest = max(largest, here[state, index])
            level[index] += math.log(largest)
            for state in range(states):
                here[state, index] /= largest
    mean = np.zeros(size)
    for state in range(states):
        for index in range(size):
            mean[index] += start[state] * here[state, index]
    return level + np.log(mean)


@numba.njit(cache=True, error_model="numpy")
def _ones(states, size):  # type: ignore[no-untyped-def]
    values = np.zeros((states, 2 * size))
    values[:, :size] = 1.0
    return values


@numba.njit(cache=True, error_model="numpy")
def _spread(start, size):  # type: ignore[no-untyped-def]
    values = np.zeros((start.size, 2 * size))
    for state in range(start.size):
        values[state, :size] = start[state]
    return values


@numba.njit(cache=True, error_model="numpy")
def _fill_phases(reward, discounts, step, frequencies, phases, first):  # type: ignore[no-untyped-def]
    """Write ``exp(i w gamma^h r)``, unless it is what stands there already."""
    if not first and discounts[step] == discounts[step + 1]:
        return
    states, actions = reward.shape
    size = frequencies.size
    for state in range(states):
        for action in range(actions):
            row = phases[state * actions + action]
            gain = discounts[step] * reward[state, action]
            for index in range(size):
                angle = frequencies[index] * gain
                row[index] = math.cos(angle)
                row[size + index] = math.sin(angle)


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _expect(dynamics, values, ahead, last):  # type: ignore[no-untyped-def]
    """Write ``sum_{s'} P(s'|s, a) value(s')``; the values themselves are equal after the last step."""
    dense, _, bounds, columns, chances = dynamics
    if last:
        ahead[:] = values[0]
    elif dense.size:
        np.dot(dense, values, ahead)
    else:
        for pair in range(bounds.size - 1):
            row = ahead[pair]
            row[:] = 0.0
            for entry in range(bounds[pair], bounds[pair + 1]):
                chance, value = chances[entry], values[columns[entry]]
                for index in range(row.size):
                    row[index] += chance * value[index]


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _push(dynamics, leaving, arrived):  # type: ignore[no-untyped-def]
    """Write ``sum_{s, a} P(s'|s, a) mass(s, a)``."""
    _, dense, bounds, columns, chances = dynamics
    if dense.size:
        np.dot(dense, leaving, arrived)
        return
    arrived[:] = 0.0
    for pair in range(bounds.size - 1):
        mass = leaving[pair]
        for entry in range(bounds[pair], bounds[pair + 1]):
            chance, row = chances[entry], arrived[columns[entry]]
            for index in range(row.size):
                row[index] += chance * mass[index]


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _turn(phases, values):  # type: ignore[no-untyped-def]
    """Multiply by the phases, in place."""
    size = phases.shape[1] // 2
    for pair in range(phases.shape[0]):
        phase, row = phases[pair], values[pair]
        for index in range(size):
            cosine, sine = phase[index], phase[size + index]
            real, imaginary = row[index], row[size + index]
            row[index] = cosine * real - sine * imaginary
            row[size + index] = cosine * imaginary + sine * real


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _average(policy, values, here):  # type: ignore[no-untyped-def]
    states, actions = policy.shape
    for state in range(states):
        row = here[state]
        row[:] = 0.0
        for action in range(actions):
            chance, value = policy[state, action], values[state * actions + action]
            for index in range(row.size):
                row[index] += chance * value[index]


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _average_carried(  # type: ignore[no-untyped-def]
    policy, reward, discount, after, carried, here, there
):
    """Average both; the reward of the step joins what is carried, which keeps its part to come."""
    states, actions = policy.shape
    _average(policy, after, here)
    for state in range(states):
        row = there[state]
        row[:] = 0.0
        for action in range(actions):
            pair = state * actions + action
            chance, gain = policy[state, action], discount * reward[state, action]
            value, more = after[pair], carried[pair]
            for index in range(row.size):
                row[index] += chance * (more[index] + gain * value[index])


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _leave(policy, arrived, phases, leaving):  # type: ignore[no-untyped-def]
    states, actions = policy.shape
    size = phases.shape[1] // 2
    for state in range(states):
        mass = arrived[state]
        for action in range(actions):
            pair = state * actions + action
            chance, phase, row = policy[state, action], phases[pair], leaving[pair]
            for index in range(size):
                real, imaginary = chance * mass[index], chance * mass[size + index]
                row[index] = phase[index] * real - phase[size + index] * imaginary
                row[size + index] = phase[index] * imaginary + phase[size + index] * real


@numba.njit(cache=True, error_model="numpy", fastmath=_FAST)
def _combine(gain, product, more, further):  # type: ignore[no-untyped-def]
    for index in range(product.size):
        further[index] += gain * product[index] + more[index]
