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
from theory_check.kernels.walks import (
    LANES,
    begin,
    choices_of,
    drawn,
    follow,
    scratch,
    spread,
    starts_of,
    uniforms,
)

Floats = NDArray[np.float64]
States = NDArray[np.uint64]

PAIRS = LANES // 2
"""Pairs that are followed together: the first members in the first half of the lanes."""

NORMAL = 1
"""Kind of an annotator whose errors are normal; 0 is logistic."""


@numba.njit(cache=True, error_model="numpy")
def simulated_scores(  # type: ignore[no-untyped-def]
    streams,
    moves,
    start,
    policy,
    log_ratio,
    rewards,
    wanted_rewards,
    discounts,
    weighed,
    rollouts,
):
    """Return scores times returns to go, of the policy that is followed and of another.

    Parameters
    ----------
    streams
        Generator states, shape (replicate, 4); advanced in place.
    moves
        Successors, of :func:`theory_check.kernels.walks.next_states_of`.
    start
        Law of the first state, shape (s,).
    policy
        Action probabilities that are followed, shape (replicate, h, s, a), those of one step in all; a
        replicate with a number that is not finite gives NaN and draws nothing.
    log_ratio
        ``log(wanted policy / policy)``, shape (replicate, h, s, a); not read unless ``weighed``.
    rewards, wanted_rewards
        Rewards of every step under both policies, shape (replicate, h, s, a).
    discounts
        ``gamma^h``, shape (h,).
    weighed
        Whether the other policy is asked for.
    rollouts
        Number of rollouts n >= 1.

    Returns
    -------
    followed, wanted
        Means of ``1[(h, s_h, a_h)] sum_{k >= h} gamma^k r_k``, the second times the product of policy
        ratios along the trajectory, 0 unless ``weighed``; shape (replicate, h, s, a).
    """
    followed, wanted = np.zeros(policy.shape), np.zeros(policy.shape)
    actions = policy.shape[3]
    stride = 0 if policy.shape[1] == 1 else policy.shape[2] * actions
    space = scratch(discounts.size)
    starts = starts_of(start)
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and (not weighed or usable(log_ratio[replicate]))):
            followed[replicate] = np.nan
            wanted[replicate] = np.nan
            continue
        choices = choices_of(policy[replicate])
        own, other = rewards[replicate].ravel(), wanted_rewards[replicate].ravel()
        own_sums, other_sums = followed[replicate].ravel(), wanted[replicate].ravel()
        ratio = log_ratio[replicate].ravel()
        bits = spread(load_bits(streams[replicate]), space.lanes)
        for done in range(0, rollouts, LANES):
            begin(space.lanes, starts, space.places)
            follow(space.lanes, space.places, choices, moves, actions, stride, space.path)
            used = min(LANES, rollouts - done)
            _add_to_go(space, used, stride, own, discounts, own_sums)
            if weighed:
                _add_weighed(space, used, stride, ratio, other, discounts, other_sums)
        store_bits(streams[replicate], bits)
    followed /= rollouts
    wanted /= rollouts
    return followed, wanted


@numba.njit(cache=True, error_model="numpy")
def _add_to_go(space, used, stride, rewards, discounts, sums):  # type: ignore[no-untyped-def]
    """Add returns to go at every step of the first ``used`` lanes."""
    to_go = space.first
    to_go[:] = 0.0
    for step in range(discounts.size - 1, -1, -1):
        offset, discount = np.uint64(step * stride), discounts[step]
        for lane in range(used):
            cell = offset + np.uint64(space.path[step, lane])
            to_go[lane] += discount * rewards[cell]
            sums[cell] += to_go[lane]


@numba.njit(cache=True, error_model="numpy")
def _add_weighed(space, used, stride, log_ratio, rewards, discounts, sums):  # type: ignore[no-untyped-def]
    """Add returns to go times importance weights at every step of the first ``used`` lanes."""
    weights, to_go = space.second, space.first
    _log_weights(space, stride, log_ratio, discounts.size, weights)
    for lane in range(used):
        weights[lane] = math.exp(weights[lane])
    to_go[:] = 0.0
    for step in range(discounts.size - 1, -1, -1):
        offset, discount = np.uint64(step * stride), discounts[step]
        for lane in range(used):
            cell = offset + np.uint64(space.path[step, lane])
            to_go[lane] += discount * rewards[cell]
            sums[cell] += weights[lane] * to_go[lane]


@numba.njit(cache=True, error_model="numpy")
def _log_weights(space, stride, log_ratio, length, found):  # type: ignore[no-untyped-def]
    """Write the sum of log-ratios along the path of every lane."""
    found[:] = 0.0
    for step in range(length):
        offset = np.uint64(step * stride)
        for lane in range(LANES):
            found[lane] += log_ratio[offset + np.uint64(space.path[step, lane])]


@numba.njit(cache=True, error_model="numpy")
def simulated_visits(  # type: ignore[no-untyped-def]
    streams, moves, start, policy, log_ratio, discounts, weighed, rollouts
):
    """Return discounted visits, and how far importance weights change them.

    Arguments as of :func:`simulated_scores`.

    Returns
    -------
    visits, changes
        Means of ``sum_h gamma^h 1[(s_h, a_h)]``, and of ``ratio - 1`` times it, 0 unless ``weighed``;
        shape (replicate, s, a).
    """
    replicates, steps, number_of_states, actions = policy.shape
    visits = np.zeros((replicates, number_of_states, actions))
    changes = np.zeros(visits.shape)
    stride = 0 if steps == 1 else number_of_states * actions
    space = scratch(discounts.size)
    starts = starts_of(start)
    for replicate in range(replicates):
        if not (usable(policy[replicate]) and (not weighed or usable(log_ratio[replicate]))):
            visits[replicate] = np.nan
            changes[replicate] = np.nan
            continue
        choices = choices_of(policy[replicate])
        ratio = log_ratio[replicate].ravel()
        own_sums, other_sums = visits[replicate].ravel(), changes[replicate].ravel()
        bits = spread(load_bits(streams[replicate]), space.lanes)
        weights = space.second
        for done in range(0, rollouts, LANES):
            begin(space.lanes, starts, space.places)
            follow(space.lanes, space.places, choices, moves, actions, stride, space.path)
            used = min(LANES, rollouts - done)
            weights[:] = 0.0
            if weighed:
                _log_weights(space, stride, ratio, discounts.size, weights)
                for lane in range(used):
                    weights[lane] = math.expm1(weights[lane])
            for step in range(discounts.size):
                discount = discounts[step]
                for lane in range(used):
                    pair = np.uint64(space.path[step, lane])
                    own_sums[pair] += discount
                    other_sums[pair] += weights[lane] * discount
        store_bits(streams[replicate], bits)
    visits /= rollouts
    changes /= rollouts
    return visits, changes


@numba.njit(cache=True, error_model="numpy")
def simulated_pairs(  # type: ignore[no-untyped-def]
    streams, moves, starts, policy, reward, true_reward, annotator, excess, discounts, pairs
):
    """Return losses times scores and residuals times visits of labelled pairs.

    Parameters
    ----------
    streams, moves, policy, discounts
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
    actions = policy.shape[3]
    stride = 0 if policy.shape[1] == 1 else policy.shape[2] * actions
    space = scratch(discounts.size)
    returns = np.empty((reward[0].size, 2))
    returns[:, 1] = true_reward.ravel()
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(reward[replicate])):
            losses[replicate] = np.nan
            residuals[replicate] = np.nan
            continue
        choices, first = choices_of(policy[replicate]), starts_of(starts[replicate])
        returns[:, 0] = reward[replicate].ravel()
        loss_sums, residual_sums = losses[replicate].ravel(), residuals[replicate].ravel()
        bits = spread(load_bits(streams[replicate]), space.lanes)
        for done in range(0, pairs, PAIRS):
            begin(space.lanes, first, space.places)
            follow(space.lanes, space.places, choices, moves, actions, stride, space.path)
            _label(space, returns, annotator, excess, discounts)
            used = min(PAIRS, pairs - done)
            for step in range(discounts.size):
                offset, discount = np.uint64(step * stride), discounts[step]
                for half in range(2):
                    for index in range(used):
                        lane = half * PAIRS + index
                        pair = np.uint64(space.path[step, lane])
                        loss_sums[offset + pair] += space.first[lane]
                        residual_sums[pair] += discount * space.second[lane]
        store_bits(streams[replicate], bits)
    losses /= pairs
    residuals /= pairs
    return losses, residuals


@numba.njit(cache=True, error_model="numpy")
def simulated_reached(  # type: ignore[no-untyped-def]
    streams,
    moves,
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
    actions = policy.shape[3]
    space = scratch(discounts.size)
    credited = np.empty(PAIRS, dtype=np.uint64)
    returns = np.empty((reward[0].size, 2))
    returns[:, 1] = true_reward.ravel()
    for replicate in range(policy.shape[0]):
        if not (usable(policy[replicate]) and usable(reward[replicate])):
            reached[replicate] = np.nan
            continue
        choices, first = choices_of(policy[replicate]), starts_of(starts[replicate])
        returns[:, 0] = reward[replicate].ravel()
        sums = reached[replicate].ravel()
        bits = spread(load_bits(streams[replicate]), space.lanes)
        for done in range(0, pairs, PAIRS):
            used = min(PAIRS, pairs - done)
            begin(space.lanes, first, space.places)
            for index in range(used):
                credited[index], space.places[index], bits = _reach(
                    bits, first, choices, moves, actions, discount
                )
            follow(space.lanes, space.places, choices, moves, actions, 0, space.path)
            _label(space, returns, annotator, excess, discounts)
            for index in range(used):
                sums[credited[index]] += space.first[index]
        store_bits(streams[replicate], bits)
    reached /= pairs
    return reached


@numba.njit(cache=True, error_model="numpy")
def _reach(bits, starts, choices, moves, actions, discount):  # type: ignore[no-untyped-def]
    """Return the pair at which a rollout stops, the state where it stops again, and the generator."""
    width = np.uint64(actions)
    state, bits = drawn(bits, np.uint64(0), np.uint64(starts.threshold.size), starts)
    credited, bits = drawn(bits, state * width, width, choices)
    pair = credited
    while True:
        low, high = moves.bounds[pair], moves.bounds[pair + np.uint64(1)]
        state, bits = drawn(bits, low, high - low, moves.states)
        uniform, bits = next_uniform(bits)
        if uniform >= discount:
            return credited, state, bits
        pair, bits = drawn(bits, state * width, width, choices)


@numba.njit(cache=True, error_model="numpy")
def _label(space, rewards, annotator, excess, discounts):  # type: ignore[no-untyped-def]
    """Draw the labels of all pairs of lanes.

    Writes the loss to ``space.first``, of both members, and ``P_phi - y`` to ``space.second``, of the
    second member with the other sign. ``rewards`` are the learner's and the true ones, shape (s * a, 2).
    """
    returns, true_returns = space.first, space.second
    returns[:] = 0.0
    true_returns[:] = 0.0
    for step in range(discounts.size):
        discount = discounts[step]
        for lane in range(LANES):
            pair = np.uint64(space.path[step, lane])
            returns[lane] += discount * rewards[pair, 0]
            true_returns[lane] += discount * rewards[pair, 1]
    found = np.empty(LANES)
    uniforms(space.lanes, found)
    for index in range(PAIRS):
        other = index + PAIRS
        difference = returns[index] - returns[other]
        true_difference = true_returns[index] - true_returns[other]
        loss, residual = labelled(difference, true_difference, found[index], annotator, excess)
        space.first[index] = space.first[other] = loss
        space.second[index], space.second[other] = residual, -residual


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def labelled(difference, true_difference, uniform, annotator, excess):  # type: ignore[no-untyped-def]
    """Return the loss of a label that a uniform number draws, and ``P_phi - y`` of the pair's first.

    Parameters
    ----------
    difference, true_difference
        Return of the first less that of the second, the learner's and the true one.
    uniform
        In [0, 1).
    annotator, excess
        As of :func:`simulated_pairs`.
    """
    chance = _chance(true_difference, annotator)
    wins = uniform < chance
    signed = difference if wins else -difference
    small = math.exp(-abs(signed))
    loss = max(-signed, 0.0) + math.log1p(small)
    if excess:
        loss += math.log(chance if wins else _chance(-true_difference, annotator))
    # What the learner gave the answer that was not: P_phi - 1 where the first won, else P_phi.
    missed = (small if signed >= 0.0 else 1.0) / (1.0 + small)
    return loss, -missed if wins else missed


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
