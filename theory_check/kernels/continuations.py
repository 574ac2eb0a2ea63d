"""Rollouts that continue from weighted states and actions, entering through counts of their visits.

``n`` rollouts start from (h, s, a) with probability proportional to the size of a weight, and their
discounted visits after that step are added up with the weight's sign. All rollouts at one state of one
step are exchangeable, so that their number is split over actions and successors by conditional
binomials, at a cost that does not grow with ``n`` (``docs/theory.md`` section 4.11). Where there is no
horizon, ``kernels/stopped_visits.py`` has faster ways.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import binomial
from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.conditional import suffix_sums, usable
from theory_check.kernels.random_bits import load_bits, store_bits
from theory_check.kernels.rows import Rows
from theory_check.kernels.stopped_visits import (
    MOST_SHARES,
    STEPS_PER_SHARE,
    Elimination,
    add_followed_visits,
    add_stopped_visits,
)


@numba.njit(cache=True, error_model="numpy")
def continued_visits(
    states: NDArray[np.uint64],
    weights: Floats,
    policy: Floats,
    rows: Rows,
    elimination: Elimination,
    discount: float,
    stationary: bool,
    rollouts: int,
) -> Floats:
    """Return an unbiased estimate of weighted discounted visits after the step of each weight.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    weights
        Numbers of either sign, shape (replicate, h, s, a); a replicate with one that is not finite
        gives NaN and draws nothing, one whose weights are all 0 gives 0.
    policy
        Action probabilities, shape (replicate, h, s, a).
    rows, elimination
        Of the transition kernel; the second without states where none may be taken out.
    discount
        ``gamma`` in (0, 1], below 1 when stationary.
    stationary
        Whether there is no horizon: rollouts then stop with probability ``1 - gamma`` after each step,
        and visits until then count fully. Otherwise visits k steps on count ``gamma^k``.
    rollouts
        Number of rollouts n >= 1.

    Returns
    -------
    visits
        Estimate of ``sum_{h,s,a} weight_h(s, a) E[sum_{k>h} gamma^{k-h} 1[(s_k, a_k)] | s_h, a_h]``, at
        ``s_h = s, a_h = a``, shape (replicate, s, a).
    """
    replicates, _, number_of_states, actions = weights.shape
    visits = np.zeros((replicates, number_of_states, actions))
    tabulated = stationary and elimination.order.size == number_of_states
    ahead = discount / (1.0 - discount) * rollouts if stationary else np.inf
    followed = tabulated and ahead < STEPS_PER_SHARE * elimination.shares
    counted = tabulated and elimination.shares <= MOST_SHARES
    for replicate in range(replicates):
        if not (usable(weights[replicate]) and usable(policy[replicate])):
            visits[replicate] = np.nan
            continue
        if _all_zero(weights[replicate]):
            continue
        own, taken, sums = weights[replicate], policy[replicate], visits[replicate]
        bits = load_bits(states[replicate])
        if followed:
            bits = add_followed_visits(bits, own[0], taken[0], rows, discount, rollouts, sums)
        elif counted:
            bits = add_stopped_visits(
                bits, elimination, own[0], taken[0], rows, discount, rollouts, sums
            )
        else:
            bits = _add_by_steps(bits, own, taken, rows, discount, stationary, rollouts, sums)
        store_bits(states[replicate], bits)
    return visits


@numba.njit(cache=True, error_model="numpy")
def _all_zero(weights):  # type: ignore[no-untyped-def]
    for weight in weights.ravel():  # noqa: SIM110 - a generator is not compiled
        if weight != 0.0:
            return False
    return True


@numba.njit(cache=True, error_model="numpy")
def _add_by_steps(bits, weights, policy, rows, discount, stationary, rollouts, visits):  # type: ignore[no-untyped-def]
    """Add the visits of one step of all rollouts after the other, as counts."""
    signed = weights.ravel()
    sizes = np.empty(signed.size)
    for entry in range(signed.size):
        sizes[entry] = abs(signed[entry])
    suffix = suffix_sums(sizes)
    counts = np.zeros((2, *weights.shape), dtype=np.int64)
    positive, negative = counts[0].ravel(), counts[1].ravel()
    left = rollouts
    for entry in range(sizes.size):
        if left == 0:
            break
        count, bits = binomial(bits, left, sizes[entry] / suffix[entry])
        left -= count
        if signed[entry] > 0.0:
            positive[entry] = count
        else:
            negative[entry] = count
    for side in range(2):
        scale = (1 - 2 * side) * suffix[0] / rollouts
        if stationary:
            bits = _until_stopped(bits, counts[side, 0], policy[0], rows, discount, scale, visits)
            continue
        for step in range(weights.shape[0] - 1):
            alive, policies = counts[side, step], policy[step + 1 :]
            bits = _until_horizon(bits, alive, policies, rows, discount, scale, visits)
    return bits


@numba.njit(cache=True, error_model="numpy")
def _until_horizon(bits, alive, policies, rows, discount, scale, visits):  # type: ignore[no-untyped-def]
    """Follow the rollouts ``alive`` at (s, a) along the policies of the remaining steps."""
    factor = scale
    for step in range(policies.shape[0]):
        alive, arrived, bits = _moved(bits, alive, policies[step], rows)
        if arrived == 0:
            break
        factor *= discount
        _add_scaled(visits, factor, alive)
    return bits


@numba.njit(cache=True, error_model="numpy")
def _until_stopped(bits, alive, policy, rows, discount, scale, visits):  # type: ignore[no-untyped-def]
    """Follow the rollouts ``alive`` at (s, a), each of which goes on with probability ``discount``."""
    while True:
        going_on = np.zeros_like(alive)
        going = 0
        for state in range(alive.shape[0]):
            for action in range(alive.shape[1]):
                if alive[state, action] > 0:
                    count, bits = binomial(bits, alive[state, action], discount)
                    going_on[state, action] = count
                    going += count
        if going == 0:
            return bits
        alive, _, bits = _moved(bits, going_on, policy, rows)
        _add_scaled(visits, scale, alive)


@numba.njit(cache=True, error_model="numpy")
def _add_scaled(visits, factor, counts):  # type: ignore[no-untyped-def]
    """Add number by number: expressions of arrays take seconds to compile."""
    for state in range(counts.shape[0]):
        for action in range(counts.shape[1]):
            visits[state, action] += factor * counts[state, action]


@numba.njit(cache=True, error_model="numpy")
def _moved(bits, alive, policy, rows):  # type: ignore[no-untyped-def]
    """Return how many rollouts are at each (s', a') one step later, and how many there are."""
    bounds, columns, _, conditional = rows
    number_of_states, actions = alive.shape
    arrived = np.zeros(number_of_states, dtype=np.int64)
    number = 0
    for state in range(number_of_states):
        for action in range(actions):
            left = alive[state, action]
            number += left
            pair = state * actions + action
            for entry in range(bounds[pair], bounds[pair + 1]):
                if left == 0:
                    break
                count, bits = binomial(bits, left, conditional[entry])
                arrived[columns[entry]] += count
                left -= count
    acting = np.zeros_like(alive)
    for state in range(number_of_states):
        left, remaining = arrived[state], 1.0
        for action in range(actions):
            if left == 0:
                break
            chance = policy[state, action]
            count = left
            if action < actions - 1:
                count, bits = binomial(bits, left, chance / remaining)
            acting[state, action] = count
            left -= count
            remaining -= chance
    return acting, number, bits
