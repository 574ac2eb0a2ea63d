"""The inner loops of a penalty method on tables, all replicates and all steps in one compiled call.

Tables are flat: an entry of a policy is (h, s, a), a pair of a reward (s, a). Policies are stacked: first
those of all replicates at ``y``, then those at ``y'``. Draws are those of the kernels that the single
operations call, in their order and from their streams.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats, LabelLaw
from theory_check.kernels.draws import labelled_pair_sums, trajectory_frequencies


class Streams(NamedTuple):
    """Generators, advanced in place.

    Attributes
    ----------
    rollouts
        Shape (2 replicate, 4).
    pairs
        Shape (replicate, 4).
    """

    rollouts: NDArray[np.uint64]
    pairs: NDArray[np.uint64]


class EpisodicTables(NamedTuple):
    """An episodic problem with linear rewards and tabular policies.

    Attributes
    ----------
    entries, visited
        Entry of a policy, and pair of a reward, of every step, shape (trajectory, h).
    log_dynamics
        Shape (trajectory,).
    discounts
        Shape (h,).
    features
        Shape (pair, parameter).
    reference
        ``beta log pi_ref``, shape (row, action).
    kl_weight
        ``beta``.
    labels
        The annotator's law.
    excess
        Whether the loss is the excess risk.
    """

    entries: NDArray[np.int64]
    visited: NDArray[np.int64]
    log_dynamics: Floats
    discounts: Floats
    features: Floats
    reference: Floats
    kl_weight: float
    labels: LabelLaw
    excess: bool


@numba.njit(cache=True, error_model="numpy")
def penalty_descent(
    streams: Streams,
    tables: EpisodicTables,
    upper: Floats,
    points: Floats,
    steps: int,
    step_size: float,
    sigma: float,
    trajectories: int,
    pairs: int,
    shared: bool,
    told: Floats,
) -> None:
    """Take all inner steps of an iteration.

    Parameters
    ----------
    streams
        Generators of the replicates.
    tables
        The problem.
    upper
        Reward parameters, shape (replicate, parameter).
    points
        Logits at y and y', shape (2 replicate, entry); they are moved in place.
    steps, step_size, sigma
        Inner steps, their size, and the penalty parameter.
    trajectories, pairs
        Batch sizes.
    shared
        Whether the rollouts at y are reweighted for y'.
    told
        Takes the points before every step, shape (steps, 2 replicate, entry), or (0, ...) for nothing.
    """
    replicates = upper.shape[0]
    reward = linear_rewards(tables.features, upper)
    returns = returns_of(tables, reward)
    for step in range(steps):
        if told.shape[0] > 0:
            told[step] = points
        log_policies = log_softmax(points, tables.reference.shape)
        laws = laws_of(tables, log_policies)
        weights = _rollouts(streams, tables, log_policies, laws, trajectories, shared)
        scores = reward_to_go_scores(tables, reward, log_policies, weights)
        losses, _ = labelled_pair_sums(
            streams.pairs, laws[replicates:], returns, tables.labels, pairs, tables.excess
        )
        add_visits(tables.entries, losses, -sigma, scores[replicates:])
        add_pulled_back(log_policies, scores, tables.reference.shape, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def penalty_estimate(
    streams: Streams,
    tables: EpisodicTables,
    upper: Floats,
    points: Floats,
    sigma: float,
    trajectories: int,
    pairs: int,
    shared: bool,
) -> Floats:
    """Return the estimate of the hypergradient, shape (replicate, parameter).

    Parameters are those of :func:`penalty_descent`.
    """
    replicates = upper.shape[0]
    returns = returns_of(tables, linear_rewards(tables.features, upper))
    log_policies = log_softmax(points, tables.reference.shape)
    laws = laws_of(tables, log_policies)
    _, residuals = labelled_pair_sums(
        streams.pairs, laws[replicates:], returns, tables.labels, pairs, tables.excess
    )
    if shared:
        difference = trajectory_frequencies(
            streams.rollouts[:replicates], laws[:replicates], trajectories
        )
        ratios = log_ratios(tables.entries, log_policies)
        for replicate in range(replicates):
            for tau in range(difference.shape[1]):
                difference[replicate, tau] *= -math.expm1(ratios[replicate, tau])
    else:
        drawn = trajectory_frequencies(streams.rollouts, laws, trajectories)
        difference = drawn[:replicates] - drawn[replicates:]
    found: Floats = _in_parameters(tables, residuals, difference, sigma)
    return found


@numba.njit(cache=True, error_model="numpy")
def linear_rewards(features, upper):  # type: ignore[no-untyped-def]
    """Return the reward of every pair, shape (replicate, pair)."""
    replicates, parameters = upper.shape
    reward = np.zeros((replicates, features.shape[0]))
    for replicate in range(replicates):
        for pair in range(features.shape[0]):
            for parameter in range(parameters):
                reward[replicate, pair] += features[pair, parameter] * upper[replicate, parameter]
    return reward


@numba.njit(cache=True, error_model="numpy")
def returns_of(tables, reward):  # type: ignore[no-untyped-def]
    """Return the return of every trajectory, shape (replicate, trajectory)."""
    trajectories, horizon = tables.visited.shape
    returns = np.zeros((reward.shape[0], trajectories))
    for replicate in range(reward.shape[0]):
        for tau in range(trajectories):
            for step in range(horizon):
                gained = reward[replicate, tables.visited[tau, step]]
                returns[replicate, tau] += tables.discounts[step] * gained
    return returns


@numba.njit(cache=True, error_model="numpy")
def log_softmax(logits, shape):  # type: ignore[no-untyped-def]
    """Return log-probabilities, shape (policy, entry), of logits in rows and columns of ``shape``."""
    rows, actions = shape
    found = np.empty_like(logits)
    for policy in range(logits.shape[0]):
        for row in range(rows):
            own = logits[policy, row * actions : (row + 1) * actions]
            largest = own[0]
            for action in range(1, actions):
                largest = max(largest, own[action])
            total = 0.0
            for action in range(actions):
                total += math.exp(own[action] - largest)
            shift = math.log(total)
            for action in range(actions):
                found[policy, row * actions + action] = own[action] - largest - shift
    return found


@numba.njit(cache=True, error_model="numpy")
def laws_of(tables, log_policies):  # type: ignore[no-untyped-def]
    """Return the law of the trajectories of every policy, shape (policy, trajectory)."""
    trajectories, horizon = tables.entries.shape
    laws = np.empty((log_policies.shape[0], trajectories))
    for policy in range(log_policies.shape[0]):
        for tau in range(trajectories):
            total = 0.0
            for step in range(horizon):
                total += log_policies[policy, tables.entries[tau, step]]
            laws[policy, tau] = math.exp(total + tables.log_dynamics[tau])
    return laws


@numba.njit(cache=True, error_model="numpy")
def log_ratios(entries, log_policies):  # type: ignore[no-untyped-def]
    """Return ``log(rho_y' / rho_y)`` of every trajectory, shape (replicate, trajectory)."""
    replicates = log_policies.shape[0] // 2
    ratios = np.zeros((replicates, entries.shape[0]))
    for replicate in range(replicates):
        for tau in range(entries.shape[0]):
            for step in range(entries.shape[1]):
                entry = entries[tau, step]
                wanted = log_policies[replicates + replicate, entry]
                ratios[replicate, tau] += wanted - log_policies[replicate, entry]
    return ratios


@numba.njit(cache=True, error_model="numpy")
def _rollouts(streams, tables, log_policies, laws, trajectories, shared):  # type: ignore[no-untyped-def]
    """Return weights over trajectories whose expectation is their law under each policy."""
    if not shared:
        return trajectory_frequencies(streams.rollouts, laws, trajectories)
    replicates = laws.shape[0] // 2
    weights = np.empty_like(laws)
    weights[:replicates] = trajectory_frequencies(
        streams.rollouts[:replicates], laws[:replicates], trajectories
    )
    weights[replicates:] = weights[:replicates] * np.exp(log_ratios(tables.entries, log_policies))
    return weights


@numba.njit(cache=True, error_model="numpy")
def reward_to_go_scores(tables, reward, log_policies, weights):  # type: ignore[no-untyped-def]
    """Return ``dJ/dlog pi`` of every policy: weighted regularised rewards to go, by entry."""
    replicates, pairs = reward.shape
    trajectories, horizon = tables.entries.shape
    reference = tables.reference.ravel()
    step_reward = np.empty(reference.size)
    scores = np.zeros_like(log_policies)
    for policy in range(log_policies.shape[0]):
        replicate = policy % replicates
        for entry in range(reference.size):
            offered = reward[replicate, entry % pairs] + reference[entry]
            step_reward[entry] = offered - tables.kl_weight * log_policies[policy, entry]
        for tau in range(trajectories):
            to_go = 0.0
            for step in range(horizon - 1, -1, -1):
                entry = tables.entries[tau, step]
                to_go += tables.discounts[step] * step_reward[entry]
                scores[policy, entry] += weights[policy, tau] * to_go
    return scores


@numba.njit(cache=True, error_model="numpy")
def add_visits(entries, weights, factor, sums):  # type: ignore[no-untyped-def]
    """Add ``factor * weight`` of every trajectory at all of its entries."""
    for row in range(weights.shape[0]):
        for tau in range(entries.shape[0]):
            for step in range(entries.shape[1]):
                sums[row, entries[tau, step]] += factor * weights[row, tau]


@numba.njit(cache=True, error_model="numpy")
def add_pulled_back(log_policies, cotangents, shape, factor, points):  # type: ignore[no-untyped-def]
    """Add ``factor`` times the gradient in the logits of ``sum(cotangent * log_softmax(logits))``."""
    rows, actions = shape
    for policy in range(points.shape[0]):
        for row in range(rows):
            first, end = row * actions, (row + 1) * actions
            total = cotangents[policy, first:end].sum()
            for entry in range(first, end):
                mean = math.exp(log_policies[policy, entry]) * total
                points[policy, entry] += factor * (cotangents[policy, entry] - mean)


@numba.njit(cache=True, error_model="numpy")
def _in_parameters(tables, residuals, difference, sigma):  # type: ignore[no-untyped-def]
    """Return the gradient in the parameters of returns weighted by ``residual + difference / sigma``."""
    replicates, trajectories = residuals.shape
    found = np.zeros((replicates, tables.features.shape[1]))
    for replicate in range(replicates):
        visits = np.zeros(tables.features.shape[0])
        for tau in range(trajectories):
            weight = residuals[replicate, tau] + difference[replicate, tau] / sigma
            for step in range(tables.visited.shape[1]):
                visits[tables.visited[tau, step]] += tables.discounts[step] * weight
        for pair in range(visits.size):
            for parameter in range(found.shape[1]):
                found[replicate, parameter] += tables.features[pair, parameter] * visits[pair]
    return found
