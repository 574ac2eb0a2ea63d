"""Labelled pairs whose first segment was reached through a state and action that takes the credit.

Drawn like the pairs of ``kernels/draws.py``: by counts when there are many, by indices when there are
few, with the same law (``docs/theory.md`` section 4.9).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.alias import alias_rows, draw_from_row
from theory_check.kernels.binomial import rare_binomial
from theory_check.kernels.bradley_terry import (
    Floats,
    LabelLaw,
    diagonal_loss,
    label_loss,
    loss_and_wins,
    model_of_pair,
    powers_of,
)
from theory_check.kernels.conditional import hazards, usable
from theory_check.kernels.random_bits import (
    draw_index,
    draw_index_within,
    fill_guide,
    guide_table,
    load_bits,
    next_uniform,
    store_bits,
)
from theory_check.kernels.rows import Rows
from theory_check.kernels.stopped_legs import draw_second_stop, successors_of

# Where drawing indices stops being the cheaper way, measured on one x86-64 core: for whole batches per
# pair of segments, and for the part of a batch that shares credit and first segment per second segment.
DRAWS_PER_PAIR = 1.0
DRAWS_PER_SECOND = 2.0


@numba.njit(cache=True, error_model="numpy")
def reached_pair_losses(
    states: NDArray[np.uint64],
    first_stops: Floats,
    stops_from: Floats,
    rows: Rows,
    continuation: Floats,
    law: Floats,
    first_state: NDArray[np.int64],
    returns: Floats,
    labels: LabelLaw,
    draws: int,
    excess: bool,
) -> Floats:
    """Draw labelled pairs and return their loss per state and action that takes the credit.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    first_stops
        Law of the credited state and action, shape (replicate, pair).
    stops_from
        Law of the first state of the first segment given the state that the credited step leads to,
        shape (replicate, s, s).
    rows
        ``P(s'|s, a)`` of every pair.
    continuation
        Probability of a segment given its first state, shape (replicate, segment).
    law
        Law of the second segment, shape (replicate, segment); a replicate with a number that is
        not finite gives NaN and draws nothing.
    first_state
        First state of each segment, in increasing order, shape (segment,).
    returns
        ``R_phi``, shape (replicate, segment).
    labels
        The annotator's law.
    draws
        Number of labelled pairs B >= 1.
    excess
        Whether the loss is ``log P*(y) - log P_phi(y)`` instead of ``-log P_phi(y)``.

    Returns
    -------
    losses
        Mean over pairs of ``loss * 1[credited is (s, a)]``, shape (replicate, pair).
    """
    number_of_states, segments = stops_from.shape[1], first_state.size
    offsets = np.searchsorted(first_state, np.arange(number_of_states + 1))
    successors = successors_of(rows)
    losses = np.zeros(first_stops.shape)
    for replicate in range(first_stops.shape[0]):
        legs = (first_stops[replicate], stops_from[replicate])
        laws = (continuation[replicate], law[replicate], returns[replicate])
        finite = usable(legs[0]) and usable(legs[1])
        if not (finite and usable(laws[0]) and usable(laws[1]) and usable(laws[2])):
            losses[replicate] = np.nan
            continue
        bits, sums = load_bits(states[replicate]), losses[replicate]
        if draws <= DRAWS_PER_PAIR * segments * segments:
            bits = _add_indexed(bits, legs, successors, laws, offsets, labels, draws, excess, sums)
        else:
            reaching = _reaching(legs[0], legs[1], rows)
            bits = _add_counted(bits, reaching, laws, first_state, labels, draws, excess, sums)
        store_bits(states[replicate], bits)
    losses /= draws
    return losses


@numba.njit(cache=True, error_model="numpy")
def _reaching(first_stops, stops_from, rows):  # type: ignore[no-untyped-def]
    """Return the law of (first state of the first segment, credited pair), shape (s, pair)."""
    bounds, columns, chances, _ = rows
    pairs, states = first_stops.size, stops_from.shape[0]
    reaching = np.empty((states, pairs))
    arrivals = np.empty(states)
    for pair in range(pairs):
        arrivals[:] = 0.0
        for entry in range(bounds[pair], bounds[pair + 1]):
            for stop in range(states):
                arrivals[stop] += chances[entry] * stops_from[columns[entry], stop]
        for stop in range(states):
            reaching[stop, pair] = first_stops[pair] * arrivals[stop]
    return reaching


@numba.njit(cache=True, error_model="numpy")
def _add_indexed(bits, legs, successors, laws, offsets, labels, draws, excess, losses):  # type: ignore[no-untyped-def]
    first_stops, stops_from = legs
    continuation, law, returns = laws
    outcomes = law.size
    powers = powers_of(returns)
    credits = alias_rows(first_stops.reshape(1, first_stops.size))
    stops = alias_rows(stops_from)
    seconds = alias_rows(law.reshape(1, outcomes))
    within = np.empty(outcomes)
    within_guide = np.empty(outcomes, dtype=np.int64)
    for state in range(offsets.size - 1):
        low, high = offsets[state], offsets[state + 1]
        if high > low:
            within[low:high] = np.cumsum(continuation[low:high])
            fill_guide(within, within_guide, low, high)
    for _ in range(draws):
        credited, bits = draw_from_row(bits, 0, credits)
        state, bits = draw_second_stop(bits, credited, successors, stops)
        one, bits = draw_index_within(
            bits, within, within_guide, offsets[state], offsets[state + np.uint64(1)]
        )
        second, bits = draw_from_row(bits, 0, seconds)
        other = np.int64(second)
        uniform, bits = next_uniform(bits)
        if one == other:
            losses[credited] += 0.5 * diagonal_loss(1, excess)
            continue
        low, high = min(one, other), max(one, other)
        pair = low * (2 * outcomes - low - 1) // 2 + high - low - 1
        upsets = 1 if uniform < labels.upset[pair] else 0
        true_difference = labels.returns[low] - labels.returns[high]
        _, log_favourite = model_of_pair(returns, powers, low, high)
        difference = returns[low] - returns[high]
        loss, _ = loss_and_wins(1, upsets, difference, true_difference, log_favourite)
        if excess:
            loss -= label_loss(1, upsets, true_difference, labels, pair)
        losses[credited] += loss
    return bits


@numba.njit(cache=True, error_model="numpy")
def _add_counted(bits, reaching, laws, first_state, labels, draws, excess, losses):  # type: ignore[no-untyped-def]
    """Split the draws over first segments, then credits, then second segments and labels."""
    continuation, law, returns = laws
    outcomes = law.size
    first_law = np.empty(outcomes)
    for one in range(outcomes):
        first_law[one] = reaching[first_state[one]].sum() * continuation[one]
    first_hazards = hazards(first_law)
    second_hazards = hazards(law)
    cumulative = np.cumsum(law)
    guide = guide_table(cumulative)
    powers = powers_of(returns)
    upset, log_failure = np.empty(outcomes), np.empty(outcomes)
    expected_loss, upset_loss = np.empty(outcomes), np.empty(outcomes)
    cells = (upset, log_failure, expected_loss, upset_loss)
    credit_hazards = hazards(reaching[first_state[0]])
    unassigned = draws
    for one in range(outcomes):
        if one > 0 and first_state[one] != first_state[one - 1]:
            credit_hazards = hazards(reaching[first_state[one]])
        left, bits = _split(bits, unassigned, first_hazards, one)
        unassigned -= left
        if left > 0:
            _fill_cells(one, returns, powers, labels, excess, cells)
        for pair in range(losses.size):
            if left == 0:
                break
            count, bits = _split(bits, left, credit_hazards, pair)
            left -= count
            if count == 0:
                continue
            if count <= DRAWS_PER_SECOND * outcomes:
                loss, bits = _indexed_loss(bits, count, cumulative, guide, cells)
            else:
                loss, bits = _counted_loss(bits, count, second_hazards, cells)
            losses[pair] += loss
        if unassigned == 0:
            break
    return bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _split(bits, left, law_hazards, outcome):  # type: ignore[no-untyped-def]
    """Return how many of the draws that are left fall on ``outcome``."""
    likely, rare, log_failure = law_hazards
    count, bits = rare_binomial(bits, left, rare[outcome], log_failure[outcome])
    return (left - count if likely[outcome] else count), bits


@numba.njit(cache=True, error_model="numpy")
def _fill_cells(one, returns, powers, labels, excess, cells):  # type: ignore[no-untyped-def]
    """Write chance and losses of both labels of segment ``one`` against all others.

    The label that the annotator expects has loss ``expected_loss``, the other ``upset_loss``.
    """
    upset, log_failure, expected_loss, upset_loss = cells
    outcomes = returns.size
    for other in range(outcomes):
        if other == one:
            # Both labels of a segment against itself cost the same.
            upset[other], log_failure[other] = 0.0, 0.0
            expected_loss[other] = upset_loss[other] = 0.5 * diagonal_loss(1, excess)
            continue
        first, second = min(one, other), max(one, other)
        pair = first * (2 * outcomes - first - 1) // 2 + second - first - 1
        upset[other], log_failure[other] = labels.upset[pair], labels.log_favourite[pair]
        true_difference = labels.returns[first] - labels.returns[second]
        _, log_favourite = model_of_pair(returns, powers, first, second)
        difference = returns[first] - returns[second]
        expected_loss[other], _ = loss_and_wins(1, 0, difference, true_difference, log_favourite)
        upset_loss[other], _ = loss_and_wins(1, 1, difference, true_difference, log_favourite)
        if excess:
            expected_loss[other] -= label_loss(1, 0, true_difference, labels, pair)
            upset_loss[other] -= label_loss(1, 1, true_difference, labels, pair)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _indexed_loss(bits, count, cumulative, guide, cells):  # type: ignore[no-untyped-def]
    upset, _, expected_loss, upset_loss = cells
    total = 0.0
    for _ in range(count):
        other, bits = draw_index(bits, cumulative, guide)
        uniform, bits = next_uniform(bits)
        total += upset_loss[other] if uniform < upset[other] else expected_loss[other]
    return total, bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _counted_loss(bits, left, second_hazards, cells):  # type: ignore[no-untyped-def]
    upset, log_failure, expected_loss, upset_loss = cells
    total = 0.0
    for other in range(upset.size):
        if left == 0:
            break
        count, bits = _split(bits, left, second_hazards, other)
        left -= count
        if count == 0:
            continue
        upsets, bits = rare_binomial(bits, count, upset[other], log_failure[other])
        total += count * expected_loss[other] + upsets * (upset_loss[other] - expected_loss[other])
    return total, bits
