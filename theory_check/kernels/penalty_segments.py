"""Steps of a penalty method on tables of discounted problems; see ``kernels/penalty_tables.py``.

Rollouts stop geometrically, and where they do is drawn from a law that is tabulated for every policy;
segments start from the occupancy (``docs/theory.md`` sections 4.8 and 4.9). Batches are independent ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.conditional import usable
from theory_check.kernels.draws import DRAWS_PER_OUTCOME, labelled_pair_sums, trajectory_frequencies
from theory_check.kernels.networks import Networks, signals_of
from theory_check.kernels.penalty_tables import (
    Batches,
    EpisodicTables,
    Streams,
    add_difference,
    add_visits,
    ascend,
    laws_of,
    network_policies,
    returns_of,
    visits_of,
)
from theory_check.kernels.reached_pairs import reached_pair_losses
from theory_check.kernels.rows import Rows
from theory_check.kernels.stopped_legs import two_stop_means

MOST_STATES = 32
"""Beyond, libraries are the faster way to inverses and products of matrices."""


class SegmentTables(NamedTuple):
    """A discounted problem.

    Attributes
    ----------
    segments
        What is compared, as of an episodic problem; ``log_dynamics`` is given the first state.
    first_state
        First state of each segment, in increasing order.
    transitions
        ``P(s'|s, a)``, shape (pair, s).
    rows
        The same, of every pair.
    initial
        ``rho0``, shape (s,).
    discount
        ``gamma``.
    """

    segments: EpisodicTables
    first_state: NDArray[np.int64]
    transitions: Floats
    rows: Rows
    initial: Floats
    discount: float


class Stopped(NamedTuple):
    """Where rollouts of every policy stop.

    Attributes
    ----------
    taken
        The policy, shape (policy, pair).
    states, pairs
        Laws of the state and of the pair of the first stop, shapes (policy, s) and (policy, pair).
    stops_from
        Law of the state of a stop given that of the start, shape (policy, s, s).
    arrivals
        Law of the state of the final stop of rollouts that go on from a pair, shape (policy, pair, s).
    """

    taken: Floats
    states: Floats
    pairs: Floats
    stops_from: Floats
    arrivals: Floats


@numba.njit(cache=True, error_model="numpy")
def network_descent(
    streams: Streams,
    tables: SegmentTables,
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
    """Take all inner steps of an iteration; see ``penalty_tables.network_descent``."""
    shape, returns = tables.segments.reference.shape, returns_of(tables.segments, reward)
    for step in range(steps):
        if told.shape[0] > 0:
            told[step] = points
        signals = signals_of(networks, points)
        log_policies = network_policies(networks, signals, log_reference, shape)
        slopes = penalty_slopes(streams, tables, batches, reward, returns, log_policies, sigma)
        ascend(networks, signals, log_policies, slopes, shape, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def penalty_slopes(
    streams: Streams,
    tables: SegmentTables,
    batches: Batches,
    reward: Floats,
    returns: Floats,
    log_policies: Floats,
    sigma: float,
) -> Floats:
    """Return the derivatives that a step follows; see ``penalty_tables.penalty_slopes``."""
    replicates = reward.shape[0]
    segments, discount = tables.segments, tables.discount
    stopped = stopped_rollouts(tables, log_policies)
    slopes: Floats = _scores(
        streams.rollouts, tables, batches.trajectories, reward, log_policies, stopped
    )
    for side in range(2 if batches.central else 1):
        low = replicates * (1 - side)
        pull, own = sigma * (2 * side - 1), slopes[low : low + replicates]
        losses, _, reached = _segment_pairs(
            streams, tables, batches, returns, log_policies, stopped, low
        )
        add_visits(segments.entries, losses, pull, own)
        own += pull * (2.0 * discount / (1.0 - discount)) * reached
    return slopes


@numba.njit(cache=True, error_model="numpy")
def lower_slopes(
    rollouts: NDArray[np.uint64],
    tables: SegmentTables,
    trajectories: int,
    reward: Floats,
    log_policies: Floats,
) -> Floats:
    """Return the derivatives of ``J`` along policies; see ``kernels/lower_tables.py``."""
    stopped = stopped_rollouts(tables, log_policies)
    slopes: Floats = _scores(rollouts, tables, trajectories, reward, log_policies, stopped)
    return slopes


@numba.njit(cache=True, error_model="numpy")
def _scores(rollouts, tables, trajectories, reward, log_policies, stopped):  # type: ignore[no-untyped-def]
    """Return ``dJ/dlog pi`` of every policy, from rollouts of two legs."""
    replicates, pairs = reward.shape
    segments, discount = tables.segments, tables.discount
    reference = segments.reference.ravel()
    slopes = np.zeros_like(log_policies)
    values = np.empty_like(log_policies)
    for policy in range(log_policies.shape[0]):
        for last in range(pairs):
            offered = reward[policy % replicates, last] + reference[last]
            values[policy, last] = offered - segments.kl_weight * log_policies[policy, last]
    if trajectories <= DRAWS_PER_OUTCOME * pairs * pairs:
        slopes += two_stop_means(
            rollouts,
            stopped.taken,
            stopped.pairs,
            stopped.stops_from,
            tables.rows,
            discount,
            trajectories,
            values,
        )
    else:
        _add_tabulated(rollouts, stopped, discount, trajectories, values, slopes)
    slopes /= (1.0 - discount) ** 2
    return slopes


@numba.njit(cache=True, error_model="numpy")
def _add_tabulated(rollouts, stopped, discount, trajectories, values, means):  # type: ignore[no-untyped-def]
    """Add the means of ``two_stop_means``, from the law of both stops."""
    pairs = values.shape[1]
    law = np.empty((1, pairs * pairs))
    for policy in range(values.shape[0]):
        fill_two_stops(stopped, policy, discount, law)
        drawn = trajectory_frequencies(rollouts[policy : policy + 1], law, trajectories)
        for stop in range(pairs):
            for last in range(pairs):
                means[policy, stop] += drawn[0, stop * pairs + last] * values[policy, last]


def estimated_slope(
    streams: Streams,
    tables: SegmentTables,
    batches: Batches,
    reward: Floats,
    log_policies: Floats,
    sigma: float,
) -> Floats:
    """Return the estimate as a derivative in the reward; see ``penalty_tables.estimated_slope``."""
    returns = returns_of(tables.segments, reward)
    stopped = stopped_rollouts(tables, log_policies)
    # What reached the first segments is drawn, as an operation does, and not used.
    given = streams, tables, batches, returns, log_policies, stopped
    _, residuals, _ = _segment_pairs(*given, len(reward))
    width = sigma
    if batches.central:
        _, below, _ = _segment_pairs(*given, 0)
        residuals, width = (residuals + below) / 2, 2 * sigma
    slope: Floats = visits_of(tables.segments, reward.shape[1], residuals)
    drawn = trajectory_frequencies(streams.rollouts, stopped.pairs, batches.trajectories)
    add_difference(drawn, (1.0 - tables.discount) * width, slope)
    return slope


@numba.njit(cache=True, error_model="numpy")
def _segment_pairs(streams, tables, batches, returns, log_policies, stopped, low):  # type: ignore[no-untyped-def]
    """Return losses and residuals of pairs, and losses by what reached their first segment.

    Those of the policies from ``low`` on, one for each replicate.
    """
    segments, replicates = tables.segments, returns.shape[0]
    high = low + replicates
    continuation = laws_of(segments, log_policies[low:high])
    law = np.empty_like(continuation)
    for replicate in range(replicates):
        policy = low + replicate
        for segment in range(law.shape[1]):
            started = stopped.states[policy, tables.first_state[segment]]
            law[replicate, segment] = started * continuation[replicate, segment]
    losses, residuals = labelled_pair_sums(
        streams.pairs, law, returns, segments.labels, batches.pairs, segments.excess
    )
    reached = reached_pair_losses(
        streams.reached_pairs,
        stopped.pairs[low:high],
        stopped.stops_from[low:high],
        tables.rows,
        continuation,
        law,
        tables.first_state,
        returns,
        segments.labels,
        batches.pairs,
        segments.excess,
    )
    return losses, residuals, reached


@numba.njit(cache=True, error_model="numpy")
def stopped_rollouts(tables, log_policies):  # type: ignore[no-untyped-def]
    """Return the laws of where rollouts of every policy stop; NaN where one is not finite."""
    policies = log_policies.shape[0]
    pairs, states = tables.transitions.shape
    actions = pairs // states
    stopped = Stopped(
        np.exp(log_policies),
        np.full((policies, states), np.nan),
        np.full((policies, pairs), np.nan),
        np.full((policies, states, states), np.nan),
        np.full((policies, pairs, states), np.nan),
    )
    for policy in range(policies):
        taken = stopped.taken[policy]
        if not usable(taken):
            continue
        system = np.eye(states)
        for pair in range(pairs):
            for state in range(states):
                moved = taken[pair] * tables.transitions[pair, state]
                system[pair // actions, state] -= tables.discount * moved
        inverse = inverse_of_dominant(system)
        for start in range(states):
            for state in range(states):
                # Probabilities of states out of reach come out as rounding, of either sign.
                inverse[start, state] = max((1.0 - tables.discount) * inverse[start, state], 0.0)
        stopped.stops_from[policy] = inverse
        stopped.states[policy] = 0.0
        stopped.arrivals[policy] = 0.0
        for start in range(states):
            for state in range(states):
                reached = tables.initial[start] * inverse[start, state]
                stopped.states[policy, state] += reached
        for pair in range(pairs):
            stopped.pairs[policy, pair] = stopped.states[policy, pair // actions] * taken[pair]
            for start in range(states):
                arriving = tables.transitions[pair, start]
                for state in range(states):
                    stopped.arrivals[policy, pair, state] += arriving * inverse[start, state]
    return stopped


@numba.njit(cache=True, error_model="numpy")
def inverse_of_dominant(matrix):  # type: ignore[no-untyped-def]
    """Return the inverse of a matrix whose diagonal dominates, by elimination without exchanges.

    At the few states for which this is called, a library takes longer to be called, and to be compiled.
    """
    size = matrix.shape[0]
    inverse = np.eye(size)
    for pivot in range(size):
        scale = 1.0 / matrix[pivot, pivot]
        for column in range(size):
            matrix[pivot, column] *= scale
            inverse[pivot, column] *= scale
        for row in range(size):
            factor = matrix[row, pivot]
            if row == pivot:
                continue
            for column in range(size):
                matrix[row, column] -= factor * matrix[pivot, column]
                inverse[row, column] -= factor * inverse[pivot, column]
    return inverse


@numba.njit(cache=True, error_model="numpy")
def fill_two_stops(stopped, policy, discount, law):  # type: ignore[no-untyped-def]
    """Write the law of (s, a), (s', a'): with probability ``1 - gamma`` they are the same."""
    _, pairs, states = stopped.arrivals.shape
    actions = pairs // states
    for stop in range(pairs):
        first = stopped.pairs[policy, stop]
        for last in range(pairs):
            arrived = stopped.arrivals[policy, stop, last // actions]
            going_on = arrived * stopped.taken[policy, last]
            law[0, stop * pairs + last] = discount * first * going_on
        law[0, stop * pairs + stop] += (1.0 - discount) * first
