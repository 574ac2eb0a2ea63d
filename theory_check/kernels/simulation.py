"""Trajectories and labelled pairs simulated step by step, where there are too many to be counted.

The cost grows with the number of steps, and not with that of trajectories that are possible
(``docs/theory.md`` section 4.12).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.conditional import usable
from theory_check.kernels.random_bits import load_bits, next_uniform, store_bits

Floats = NDArray[np.float64]
States = NDArray[np.uint64]

NORMAL = 1
"""Kind of an annotator whose errors are normal; 0 is logistic."""


@numba.njit(cache=True, error_model="numpy")
def simulated_scores(  # type: ignore[no-untyped-def]
    streams, dynamics, start, policy, log_ratio, rewards, wanted_rewards, discounts, rollouts
):
    """Return scores times returns to go, of the policy that is followed and of another.

    Parameters
    ----------
    streams
        Generator states, shape (replicate, 4); advanced in place.
    dynamics
        Rows of the kernel (s * a, s): ``(bounds, columns, chances)``.
    start
        Law of the first state, shape (s,).
    policy
        Action probabilities that are followed, shape (replicate, h, s, a); a replicate with a number that
        is not finite gives NaN and draws nothing.
    log_ratio
        ``log(wanted policy / policy)``, shape (replicate, h, s, a).
    rewards, wanted_rewards
        Rewards of every step under both policies, shape (replicate, h, s, a).
    discounts
        ``gamma^h``, shape (h,).
    rollouts
        Number of rollouts n >= 1.

    Returns
    -------
    followed, wanted
        Means of ``1[(h, s_h, a_h)] sum_{k >= h} gamma^k r_k``, the second times the product of policy
        ratios along the trajectory, shape (replicate, h, s, a).
    """
    followed, wanted = np.zeros(policy.shape), np.zeros(policy.shape)
    horizon = discounts.size
    states = np.empty(horizon, dtype=np.int64)
    actions = np.empty(horizon, dtype=np.int64)
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(log_ratio[replicate])):
            followed[replicate] = np.nan
            wanted[replicate] = np.nan
            continue
        chances = _running(policy[replicate])
        bits = load_bits(streams[replicate])
        for _ in range(rollouts):
            total, bits = _weighed(
                bits, start, dynamics, chances, log_ratio[replicate], states, actions
            )
            weight = math.exp(total)
            to_go, wanted_to_go = 0.0, 0.0
            for step in range(horizon - 1, -1, -1):
                state, action = states[step], actions[step]
                to_go += discounts[step] * rewards[replicate, step, state, action]
                wanted_to_go += discounts[step] * wanted_rewards[replicate, step, state, action]
                followed[replicate, step, state, action] += to_go
                wanted[replicate, step, state, action] += weight * wanted_to_go
        store_bits(streams[replicate], bits)
    followed /= rollouts
    wanted /= rollouts
    return followed, wanted


@numba.njit(cache=True, error_model="numpy")
def simulated_visits(  # type: ignore[no-untyped-def]
    streams, dynamics, start, policy, log_ratio, discounts, rollouts
):
    """Return discounted visits, and how far importance weights change them.

    Arguments as of :func:`simulated_scores`.

    Returns
    -------
    visits, changes
        Means of ``sum_h gamma^h 1[(s_h, a_h)]``, and of ``ratio - 1`` times it, shape (replicate, s, a).
    """
    replicates, _, number_of_states, number_of_actions = policy.shape
    visits = np.zeros((replicates, number_of_states, number_of_actions))
    changes = np.zeros(visits.shape)
    horizon = discounts.size
    states = np.empty(horizon, dtype=np.int64)
    actions = np.empty(horizon, dtype=np.int64)
    for replicate in range(replicates):
        if not (usable(policy[replicate]) and usable(log_ratio[replicate])):
            visits[replicate] = np.nan
            changes[replicate] = np.nan
            continue
        chances = _running(policy[replicate])
        bits = load_bits(streams[replicate])
        for _ in range(rollouts):
            total, bits = _weighed(
                bits, start, dynamics, chances, log_ratio[replicate], states, actions
            )
            change = math.expm1(total)
            for step in range(horizon):
                state, action = states[step], actions[step]
                visits[replicate, state, action] += discounts[step]
                changes[replicate, state, action] += change * discounts[step]
        store_bits(streams[replicate], bits)
    visits /= rollouts
    changes /= rollouts
    return visits, changes


@numba.njit(cache=True, error_model="numpy")
def simulated_pairs(  # type: ignore[no-untyped-def]
    streams, dynamics, starts, policy, reward, true_reward, annotator, excess, discounts, pairs
):
    """Return losses times scores and residuals times visits of labelled pairs.

    Parameters
    ----------
    streams, dynamics, policy, discounts
        As of :func:`simulated_scores`; a policy of one step is followed in all.
    starts
        Law of the first state, shape (replicate, s).
    reward, true_reward
        Shape (replicate, s, a) and (s, a).
    annotator
        Kind, scale, half-width of ties and share of random answers.
    excess
        Whether the loss is ``log P*(y) - log P_phi(y)`` instead of ``-log P_phi(y)``.
    pairs
        Number of pairs B >= 1.

    Returns
    -------
    losses
        Mean of the loss at every step of both members, shape (replicate, h, s, a).
    residuals
        Mean of ``P_phi - y`` times the difference of discounted visits, shape (replicate, s, a).
    """
    losses, residuals = np.zeros(policy.shape), np.zeros(reward.shape)
    length = discounts.size
    states = np.empty((2, length), dtype=np.int64)
    actions = np.empty((2, length), dtype=np.int64)
    stationary = policy.shape[1] == 1
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(reward[replicate])):
            losses[replicate] = np.nan
            residuals[replicate] = np.nan
            continue
        chances = _running(policy[replicate])
        bits = load_bits(streams[replicate])
        for _ in range(pairs):
            for member in range(2):
                first, bits = _draw(bits, starts[replicate])
                bits = _follow(bits, first, dynamics, chances, states[member], actions[member])
            loss, residual, bits = _label(
                bits, states, actions, reward[replicate], true_reward, annotator, excess, discounts
            )
            for member in range(2):
                sign = 1.0 if member == 0 else -1.0
                for step in range(length):
                    state, action = states[member, step], actions[member, step]
                    row = 0 if stationary else step
                    losses[replicate, row, state, action] += loss
                    residuals[replicate, state, action] += sign * residual * discounts[step]
        store_bits(streams[replicate], bits)
    losses /= pairs
    residuals /= pairs
    return losses, residuals


@numba.njit(cache=True, error_model="numpy")
def simulated_reached(  # type: ignore[no-untyped-def]
    streams,
    dynamics,
    starts,
    policy,
    reward,
    true_reward,
    annotator,
    excess,
    discounts,
    pairs,
    discount,
):
    """Return the mean loss of pairs per (s, a) through which their first segment was reached.

    A rollout stops at (s, a), goes on from there and stops again; the first segment starts in that state,
    the second in one that follows ``starts``. Arguments as of :func:`simulated_pairs`; a rollout goes on
    with probability ``discount``.
    """
    reached = np.zeros(reward.shape)
    length = discounts.size
    states = np.empty((2, length), dtype=np.int64)
    actions = np.empty((2, length), dtype=np.int64)
    number_of_actions = reward.shape[2]
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(reward[replicate])):
            reached[replicate] = np.nan
            continue
        chances = _running(policy[replicate])
        bits = load_bits(streams[replicate])
        for _ in range(pairs):
            credited, bits = _draw(bits, starts[replicate])
            chosen, bits = _draw_running(bits, chances[0, credited])
            first, bits = _successor(bits, credited * number_of_actions + chosen, dynamics)
            while True:
                uniform, bits = next_uniform(bits)
                if uniform >= discount:
                    break
                action, bits = _draw_running(bits, chances[0, first])
                first, bits = _successor(bits, first * number_of_actions + action, dynamics)
            bits = _follow(bits, first, dynamics, chances, states[0], actions[0])
            second, bits = _draw(bits, starts[replicate])
            bits = _follow(bits, second, dynamics, chances, states[1], actions[1])
            loss, _, bits = _label(
                bits, states, actions, reward[replicate], true_reward, annotator, excess, discounts
            )
            reached[replicate, credited, chosen] += loss
        store_bits(streams[replicate], bits)
    reached /= pairs
    return reached


@numba.njit(cache=True, error_model="numpy")
def _label(bits, states, actions, reward, true_reward, annotator, excess, discounts):  # type: ignore[no-untyped-def]
    """Draw the label of a pair; return its loss, ``P_phi - y`` and the generator."""
    difference, true_difference = 0.0, 0.0
    for step in range(discounts.size):
        one = (states[0, step], actions[0, step])
        other = (states[1, step], actions[1, step])
        difference += discounts[step] * (reward[one] - reward[other])
        true_difference += discounts[step] * (true_reward[one] - true_reward[other])
    chance = _chance(true_difference, annotator)
    uniform, bits = next_uniform(bits)
    wins = uniform < chance
    signed = difference if wins else -difference
    loss = max(-signed, 0.0) + math.log1p(math.exp(-abs(signed)))
    if excess:
        loss += math.log(chance if wins else _chance(-true_difference, annotator))
    model = 1.0 / (1.0 + math.exp(-difference)) if difference > -700.0 else 0.0
    return loss, model - (1.0 if wins else 0.0), bits


@numba.njit(cache=True, error_model="numpy")
def _chance(difference, annotator):  # type: ignore[no-untyped-def]
    """Return the probability that the first of a pair wins."""
    kind, scale, tie, share = annotator
    if kind == NORMAL:
        decided = 0.5 * math.erfc(-difference / (math.sqrt(2.0) * scale))
    else:
        decided = 0.5 * (
            _logistic((difference + tie) / scale) + _logistic((difference - tie) / scale)
        )
    return 0.5 * share + (1.0 - share) * decided


@numba.njit(cache=True, error_model="numpy")
def _logistic(value):  # type: ignore[no-untyped-def]
    if value >= 0.0:
        return 1.0 / (1.0 + math.exp(-value))
    odds = math.exp(value)
    return odds / (1.0 + odds)


@numba.njit(cache=True, error_model="numpy")
def _running(policy):  # type: ignore[no-untyped-def]
    """Return running sums over actions."""
    sums = policy.copy()
    for action in range(1, policy.shape[2]):
        sums[:, :, action] += sums[:, :, action - 1]
    return sums


@numba.njit(cache=True, error_model="numpy")
def _follow(bits, first, dynamics, chances, states, actions):  # type: ignore[no-untyped-def]
    """Write a trajectory from its first state; a policy of one step is followed in all."""
    stationary = chances.shape[0] == 1
    number_of_actions = chances.shape[2]
    state = first
    for step in range(states.size):
        if step > 0:
            state, bits = _successor(
                bits, states[step - 1] * number_of_actions + actions[step - 1], dynamics
            )
        states[step] = state
        actions[step], bits = _draw_running(bits, chances[0 if stationary else step, state])
    return bits


@numba.njit(cache=True, error_model="numpy")
def _weighed(bits, start, dynamics, chances, log_ratio, states, actions):  # type: ignore[no-untyped-def]
    """Write a trajectory from its start; return the sum of log-ratios along it, and the generator."""
    first, bits = _draw(bits, start)
    bits = _follow(bits, first, dynamics, chances, states, actions)
    total = 0.0
    for step in range(states.size):
        total += log_ratio[step, states[step], actions[step]]
    return total, bits


@numba.njit(cache=True, error_model="numpy")
def _draw(bits, law):  # type: ignore[no-untyped-def]
    """Draw an index from a law."""
    uniform, bits = next_uniform(bits)
    last = 0
    for index in range(law.size):
        if law[index] > 0.0:
            last = index
            uniform -= law[index]
            if uniform < 0.0:
                return index, bits
    return last, bits


@numba.njit(cache=True, error_model="numpy")
def _draw_running(bits, sums):  # type: ignore[no-untyped-def]
    """Draw an index from the law with these running sums."""
    uniform, bits = next_uniform(bits)
    target = uniform * sums[sums.size - 1]
    index = 0
    while index < sums.size - 1 and sums[index] <= target:
        index += 1
    return index, bits


@numba.njit(cache=True, error_model="numpy")
def _successor(bits, pair, dynamics):  # type: ignore[no-untyped-def]
    """Draw the next state after a pair of state and action."""
    bounds, columns, chances = dynamics
    uniform, bits = next_uniform(bits)
    entry = bounds[pair]
    while entry < bounds[pair + 1] - 1:
        uniform -= chances[entry]
        if uniform < 0.0:
            break
        entry += 1
    return columns[entry], bits
