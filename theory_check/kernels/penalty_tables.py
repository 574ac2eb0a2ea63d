"""Steps of a penalty method on tables: all replicates in one compiled call, and all steps of logits.

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
from theory_check.kernels.networks import (
    Networks,
    add_network_pullback,
    add_outputs,
    signals_of,
)


class Streams(NamedTuple):
    """Generators, advanced in place.

    Attributes
    ----------
    rollouts
        Shape (2 replicate, 4).
    pairs, reached_pairs
        Shape (replicate, 4); the second are for pairs from a credited step, of discounted problems.
    """

    rollouts: NDArray[np.uint64]
    pairs: NDArray[np.uint64]
    reached_pairs: NDArray[np.uint64]


class EpisodicTables(NamedTuple):
    """An episodic problem.

    Attributes
    ----------
    entries, visited
        Entry of a policy, and pair of a reward, of every step, shape (trajectory, h).
    log_dynamics
        Shape (trajectory,).
    discounts
        Shape (h,).
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
    reference: Floats
    kl_weight: float
    labels: LabelLaw
    excess: bool


class Batches(NamedTuple):
    """Samples of a step.

    Attributes
    ----------
    trajectories, pairs
        Batch sizes.
    shared
        Whether the rollouts at y are reweighted for y'.
    central
        Whether y belongs to ``g - sigma f``, and pairs are compared there too.
    """

    trajectories: int
    pairs: int
    shared: bool
    central: bool


@numba.njit(cache=True, error_model="numpy")
def tabular_descent(
    streams: Streams,
    tables: EpisodicTables,
    batches: Batches,
    reward: Floats,
    points: Floats,
    steps: int,
    step_size: float,
    sigma: float,
    told: Floats,
) -> None:
    """Take all inner steps of an iteration on logits.

    Parameters
    ----------
    streams
        Generators of the replicates.
    tables, batches
        The problem, and what is drawn in a step.
    reward
        Shape (replicate, pair).
    points
        Logits at y and y', shape (2 replicate, entry); they are moved in place.
    steps, step_size, sigma
        Inner steps, their size, and the penalty parameter.
    told
        Takes the points before every step, shape (steps, 2 replicate, entry), or (0, ...) for nothing.
    """
    returns = returns_of(tables, reward)
    for step in range(steps):
        if told.shape[0] > 0:
            told[step] = points
        log_policies = log_softmax(points, tables.reference.shape)
        slopes = penalty_slopes(streams, tables, batches, reward, returns, log_policies, sigma)
        add_pulled_back(log_policies, slopes, tables.reference.shape, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def network_descent(
    streams: Streams,
    tables: EpisodicTables,
    batches: Batches,
    networks: Networks,
    log_reference: Floats,
    reward: Floats,
    points: Floats,
    steps: int,
    step_size: float,
    sigma: float,
    told: Floats,
) -> None:
    """Take all inner steps of an iteration on the parameters of networks that give the logits.

    Parameters are those of :func:`tabular_descent`, with networks, logits that theirs are added to, shape
    (entry,), and points that are parameters.
    """
    shape, returns = tables.reference.shape, returns_of(tables, reward)
    for step in range(steps):
        if told.shape[0] > 0:
            told[step] = points
        signals = signals_of(networks, points)
        log_policies = network_policies(networks, signals, log_reference, shape)
        slopes = penalty_slopes(streams, tables, batches, reward, returns, log_policies, sigma)
        ascend(networks, signals, log_policies, slopes, shape, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def network_policies(networks, signals, log_reference, shape):  # type: ignore[no-untyped-def]
    """Return log-probabilities, shape (policy, entry)."""
    logits = np.empty((signals.before.shape[0], log_reference.size))
    logits[:] = log_reference
    add_outputs(networks, signals, logits)
    return log_softmax(logits, shape)


@numba.njit(cache=True, error_model="numpy")
def ascend(networks, signals, log_policies, slopes, shape, step_size, points):  # type: ignore[no-untyped-def]
    """Move the parameters of networks along derivatives of the log-probabilities that they give."""
    in_logits = np.zeros_like(log_policies)
    add_pulled_back(log_policies, slopes, shape, 1.0, in_logits)
    add_network_pullback(networks, signals, in_logits, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def penalty_slopes(
    streams: Streams,
    tables: EpisodicTables,
    batches: Batches,
    reward: Floats,
    returns: Floats,
    log_policies: Floats,
    sigma: float,
) -> Floats:
    """Return the derivatives along policies that a step follows: of ``J`` at y, of ``J - sigma G`` at y'.

    Of a central difference it is of ``J + sigma G`` at y. Parameters are those of
    :func:`tabular_descent`, with returns of shape (replicate, trajectory) and log-probabilities of shape
    (2 replicate, entry); so is the result.
    """
    replicates = reward.shape[0]
    laws = laws_of(tables, log_policies)
    weights = _rollouts(streams, tables, log_policies, laws, batches)
    slopes: Floats = reward_to_go_scores(tables, reward, log_policies, weights)
    # First at y'; of a central difference also at y, where the loss enters with the other sign.
    for side in range(2 if batches.central else 1):
        low = replicates * (1 - side)
        high = low + replicates
        losses, _ = labelled_pair_sums(
            streams.pairs, laws[low:high], returns, tables.labels, batches.pairs, tables.excess
        )
        add_visits(tables.entries, losses, sigma * (2 * side - 1), slopes[low:high])
    return slopes


def estimated_slope(
    streams: Streams,
    tables: EpisodicTables,
    batches: Batches,
    reward: Floats,
    log_policies: Floats,
    sigma: float,
) -> Floats:
    """Return the estimate of the hypergradient as a derivative in the reward, shape (replicate, pair).

    Parameters are those of :func:`penalty_slopes`. This happens once an iteration, so that it calls
    compiled parts: as a kernel it would be compiled with all of them once more, for 4 seconds.
    """
    replicates = reward.shape[0]
    laws = laws_of(tables, log_policies)
    returns = returns_of(tables, reward)
    _, weights = labelled_pair_sums(
        streams.pairs, laws[replicates:], returns, tables.labels, batches.pairs, tables.excess
    )
    width = sigma
    if batches.central:
        _, below = labelled_pair_sums(
            streams.pairs, laws[:replicates], returns, tables.labels, batches.pairs, tables.excess
        )
        weights, width = (weights + below) / 2, 2 * sigma
    if batches.shared:
        drawn = trajectory_frequencies(
            streams.rollouts[:replicates], laws[:replicates], batches.trajectories
        )
        add_reweighted_difference(tables.entries, log_policies, drawn, width, weights)
    else:
        drawn = trajectory_frequencies(streams.rollouts, laws, batches.trajectories)
        add_difference(drawn, width, weights)
    slope: Floats = visits_of(tables, reward.shape[1], weights)
    return slope


@numba.njit(cache=True, error_model="numpy")
def add_difference(drawn, divisor, sums):  # type: ignore[no-untyped-def]
    """Add what was drawn at y, less what was at y', over a divisor."""
    replicates = sums.shape[0]
    for replicate in range(replicates):
        for outcome in range(sums.shape[1]):
            difference = drawn[replicate, outcome] - drawn[replicates + replicate, outcome]
            sums[replicate, outcome] += difference / divisor


@numba.njit(cache=True, error_model="numpy")
def add_reweighted_difference(entries, log_policies, drawn, divisor, sums):  # type: ignore[no-untyped-def]
    """Add what was drawn at y, less the same reweighted for y', over a divisor."""
    ratios = log_ratios(entries, log_policies)
    for replicate in range(sums.shape[0]):
        for tau in range(sums.shape[1]):
            lost = drawn[replicate, tau] * -math.expm1(ratios[replicate, tau])
            sums[replicate, tau] += lost / divisor


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
def _rollouts(streams, tables, log_policies, laws, batches):  # type: ignore[no-untyped-def]
    """Return weights over trajectories whose expectation is their law under each policy."""
    if not batches.shared:
        return trajectory_frequencies(streams.rollouts, laws, batches.trajectories)
    replicates = laws.shape[0] // 2
    drawn = trajectory_frequencies(
        streams.rollouts[:replicates], laws[:replicates], batches.trajectories
    )
    ratios = log_ratios(tables.entries, log_policies)
    weights = np.empty_like(laws)
    # Cell by cell: assignments of arrays bring messages about their shapes, which take long to compile.
    for replicate in range(replicates):
        for tau in range(drawn.shape[1]):
            weight = drawn[replicate, tau]
            weights[replicate, tau] = weight
            weights[replicates + replicate, tau] = weight * math.exp(ratios[replicate, tau])
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
def visits_of(tables, pairs, weights):  # type: ignore[no-untyped-def]
    """Return weighted discounted visits, shape (replicate, pair)."""
    visits = np.zeros((weights.shape[0], pairs))
    for replicate in range(weights.shape[0]):
        for tau in range(weights.shape[1]):
            for step in range(tables.visited.shape[1]):
                visited = tables.visited[tau, step]
                visits[replicate, visited] += tables.discounts[step] * weights[replicate, tau]
    return visits
