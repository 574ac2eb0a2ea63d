"""How often rollouts that stop visit every state and action, without following them step by step.

Which states a rollout passes is a chain that stops. Seen on some of the states alone it is a chain
again, and the steps between them that led through another state are a binomial share of all.
So states are taken out of the chain one by one until rollouts stop at once, and put back in the opposite
order: the counts of steps between states are then drawn at a cost that depends neither on the number of
rollouts nor on how long they are (``docs/theory.md`` section 4.11). Actions follow from steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import binomial
from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.conditional import suffix_sums
from theory_check.kernels.random_bits import Bits, draw_index, guide_table, next_uniform
from theory_check.kernels.rollouts import draw_move, moves_of
from theory_check.kernels.rows import Rows

STEPS_PER_SHARE = 10
"""Fewer steps for each share are followed, which is then the faster way; measured on one x86-64 core."""

MOST_STATES = 1024
"""Beyond, the order of elimination takes longer than steps do."""

MOST_SHARES = 2**25
"""Beyond, the shares of a replicate take more than 256 MiB."""


class Elimination(NamedTuple):
    """In which order states are taken out, and what leads where by then.

    Attributes
    ----------
    order
        States in the order in which they are put back, shape (s,). Positions below are places in it.
    filled
        Whether steps lead from one position to another, through those that are out, shape (s, s).
    shares
        How many shares are drawn.
    """

    order: NDArray[np.int64]
    filled: NDArray[np.bool_]
    shares: int


NO_ELIMINATION = Elimination(np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.bool_), 0)
"""Where no states are taken out."""


class _Chain(NamedTuple):
    """What is drawn when states are put back.

    Attributes
    ----------
    first
        Where the shares of each position start, shape (s,).
    share
        The part of the steps between two positions that leads through the one that is put back, for
        every position before it that leads there, then for the starts of both signs; and within for
        every position before it that it leads to, then for the stop.
    staying
        Probability that what is at a position stays there for a further step, shape (s,).
    """

    first: NDArray[np.int64]
    share: Floats
    staying: Floats


@numba.njit(cache=True, error_model="numpy")
def elimination_of(rows: Rows, states: int) -> Elimination:
    """Return an order that leads to few shares, the same for all policies.

    The state that the fewest pairs of other states are connected through goes first (Markowitz 1957).

    Parameters
    ----------
    rows, states
        ``P(s'|s, a)`` of every pair, and the number of states, at most ``MOST_STATES``.
    """
    bounds, columns, _, _ = rows
    linked = np.zeros((states, states), dtype=np.bool_)
    actions = (bounds.size - 1) // max(states, 1)
    for state in range(states):
        for entry in range(bounds[state * actions], bounds[(state + 1) * actions]):
            linked[state, columns[entry]] = True
    inside = np.ones(states, dtype=np.bool_)
    into, out = np.zeros(states, dtype=np.int64), np.zeros(states, dtype=np.int64)
    for state in range(states):
        for target in range(states):
            if linked[state, target] and state != target:
                out[state] += 1
                into[target] += 1
    order = np.empty(states, dtype=np.int64)
    shares = 0
    for place in range(states - 1, -1, -1):
        best = -1
        for state in range(states):
            if inside[state] and (
                best < 0
                or (into[state] + 2) * (out[state] + 1) < (into[best] + 2) * (out[best] + 1)
            ):
                best = state
        shares += (into[best] + 2) * (out[best] + 1)
        order[place] = best
        inside[best] = False
        for source in range(states):
            if not (inside[source] and linked[source, best]):
                continue
            out[source] -= 1
            for target in range(states):
                if inside[target] and linked[best, target] and not linked[source, target]:
                    linked[source, target] = True
                    if source != target:
                        out[source] += 1
                        into[target] += 1
        for target in range(states):
            if inside[target] and linked[best, target]:
                into[target] -= 1
    filled = np.empty_like(linked)
    for place in range(states):
        for other in range(states):
            filled[place, other] = linked[order[place], order[other]]
    return Elimination(order, filled, shares)


@numba.njit(cache=True, error_model="numpy")
def add_stopped_visits(
    bits: Bits,
    elimination: Elimination,
    weights: Floats,
    policy: Floats,
    rows: Rows,
    discount: float,
    rollouts: int,
    visits: Floats,
) -> Bits:
    """Add an unbiased estimate of weighted visits after the steps that are weighted.

    Rollouts start from (s, a) with probability proportional to the size of its weight, and go on with
    probability ``gamma`` after each step.

    Parameters
    ----------
    bits
        The generator.
    elimination
        That of the dynamics; at most ``MOST_SHARES`` shares.
    weights
        Finite numbers of either sign, not all 0, shape (s, a).
    policy
        Action probabilities, shape (s, a).
    rows, discount
        ``P(s'|s, a)`` of every pair, and ``gamma`` in (0, 1).
    rollouts
        Number of rollouts n >= 1.
    visits
        Shape (s, a); added to.

    Returns
    -------
    bits
        The generator after it.
    """
    states = weights.shape[0]
    starts, sizes = _starts(elimination.order, weights, rows, discount)
    chain = _chain(elimination, starts, policy, rows, discount)
    size = sizes[0] + sizes[1]
    scale = size / rollouts
    positive, bits = binomial(bits, rollouts, sizes[0] / size)
    for side in range(2):
        number = positive if side == 0 else rollouts - positive
        if number == 0:
            continue
        counts = np.zeros((states + 1, states + 1), dtype=np.int64)
        counts[states, states] = number
        bits = _put_back(bits, elimination.filled, chain, side, counts)
        signed_scale = scale if side == 0 else -scale
        bits = _add_actions(bits, elimination.order, counts, policy, rows, signed_scale, visits)
    return bits


@numba.njit(cache=True, error_model="numpy")
def add_followed_visits(
    bits: Bits,
    weights: Floats,
    policy: Floats,
    rows: Rows,
    discount: float,
    rollouts: int,
    visits: Floats,
) -> Bits:
    """Do the same step by step; see :func:`add_stopped_visits`."""
    states, actions = weights.shape
    starts, sizes = _starts(np.arange(states), weights, rows, discount)
    cumulative = np.empty(2 * states)
    total = 0.0
    for start in range(2 * states):
        side = start // states
        total += sizes[side] * starts[side, start % states]
        cumulative[start] = total
    guide = guide_table(cumulative)
    moves = moves_of(policy, np.zeros((states, actions)), rows)
    scale = (sizes[0] + sizes[1]) / rollouts
    sums = visits.ravel()
    continuing = 1.0 / math.log(discount)
    for _ in range(rollouts):
        uniform, bits = next_uniform(bits)
        steps = int(math.log(1.0 - uniform) * continuing)
        if steps == 0:
            continue
        start, bits = draw_index(bits, cumulative, guide)
        signed_scale = scale if start < states else -scale
        row = np.uint64(start % states * moves.width)
        for _ in range(steps):
            move, bits = draw_move(bits, row, moves)
            sums[moves.pair[move]] += signed_scale
            row = moves.successor[move]
    return bits


@numba.njit(cache=True, error_model="numpy")
def _starts(order, weights, rows, discount):  # type: ignore[no-untyped-def]
    """Return where rollouts of both signs go first, or that they stop, and the sizes of the signs."""
    states, actions = weights.shape
    bounds, columns, chances, _ = rows
    place_of = _places(order)
    starts, sizes = np.zeros((2, states + 1)), np.zeros(2)
    for state in range(states):
        for action in range(actions):
            weight = weights[state, action]
            side = 0 if weight > 0.0 else 1
            sizes[side] += abs(weight)
            pair = state * actions + action
            for entry in range(bounds[pair], bounds[pair + 1]):
                starts[side, place_of[columns[entry]]] += discount * abs(weight) * chances[entry]
    # Number by number, here and below: expressions of arrays take seconds to compile.
    for side in range(2):
        for place in range(states):
            if sizes[side] > 0.0:
                starts[side, place] /= sizes[side]
        starts[side, states] = 1.0 - discount
    return starts, sizes


@numba.njit(cache=True, error_model="numpy")
def _places(order):  # type: ignore[no-untyped-def]
    """Return the position of every state."""
    places = np.empty_like(order)
    for place in range(order.size):
        places[order[place]] = place
    return places


@numba.njit(cache=True, error_model="numpy")
def _chain(elimination, starts, policy, rows, discount):  # type: ignore[no-untyped-def]
    """Take the states out one by one."""
    order, filled, shares = elimination
    bounds, columns, chances, _ = rows
    place_of = _places(order)
    states, actions = policy.shape
    chance = np.zeros((states + 2, states + 1))
    for side in range(2):
        for place in range(states + 1):
            chance[states + side, place] = starts[side, place]
    for place in range(states):
        state = order[place]
        chance[place, states] = 1.0 - discount
        for action in range(actions):
            taken = discount * policy[state, action]
            pair = state * actions + action
            for entry in range(bounds[pair], bounds[pair + 1]):
                chance[place, place_of[columns[entry]]] += taken * chances[entry]
    chain = _Chain(np.empty(states, dtype=np.int64), np.empty(shares), np.empty(states))
    targets = np.empty(states + 1, dtype=np.int64)
    share = 0
    for place in range(states - 1, -1, -1):
        chain.first[place] = share
        ahead = _leading_to(filled, place, targets)
        leaving = 0.0
        for index in range(ahead):
            leaving += chance[place, targets[index]]
        chain.staying[place] = chance[place, place] / (chance[place, place] + leaving)
        for source in range(states + 2):
            if source < states and not (source < place and filled[source, place]):
                continue
            through_here = chance[source, place] / leaving
            for index in range(ahead):
                target = targets[index]
                through = through_here * chance[place, target]
                total = chance[source, target] + through
                chain.share[share] = through / total if total > 0.0 else 0.0
                chance[source, target] = total
                share += 1
    return chain


@numba.njit(cache=True, error_model="numpy")
def _leading_to(filled, place, targets):  # type: ignore[no-untyped-def]
    """Write which earlier positions a position leads to, then the stop; return how many these are."""
    ahead = 0
    for target in range(place):
        if filled[place, target]:
            targets[ahead] = target
            ahead += 1
    targets[ahead] = filled.shape[0]
    return ahead + 1


@numba.njit(cache=True, error_model="numpy")
def _put_back(bits, filled, chain, side, counts):  # type: ignore[no-untyped-def]
    """Draw the counts of steps between states from that of rollouts, which start in the last row."""
    states = filled.shape[0]
    targets = np.empty(states + 1, dtype=np.int64)
    for place in range(states):
        ahead = _leading_to(filled, place, targets)
        share = chain.first[place]
        arrived = 0
        for source in range(states + 1):
            if source < states and not (source < place and filled[source, place]):
                continue
            if source == states:
                share += side * ahead
            for index in range(ahead):
                target = targets[index]
                if counts[source, target] > 0:
                    count, bits = binomial(bits, counts[source, target], chain.share[share + index])
                    counts[source, target] -= count
                    counts[source, place] += count
                    counts[place, target] += count
                    arrived += count
            share += ahead
        # Of those that are there some stay, of which again some stay: a negative binomial number.
        while arrived > 0:
            arrived, bits = binomial(bits, arrived, chain.staying[place])
            counts[place, place] += arrived
    return bits


@numba.njit(cache=True, error_model="numpy")
def _add_actions(bits, order, counts, policy, rows, scale, visits):  # type: ignore[no-untyped-def]
    """Split the steps from every state, and the stops there, over the actions that led to them."""
    bounds, columns, chances, _ = rows
    place_of = _places(order)
    states, actions = policy.shape
    chance = np.empty(actions)
    leading = np.empty((states, actions))
    for place in range(states):
        state = order[place]
        leading.fill(0.0)
        for action in range(actions):
            pair = state * actions + action
            for entry in range(bounds[pair], bounds[pair + 1]):
                leading[place_of[columns[entry]], action] = chances[entry]
        for target in range(states + 1):
            left = counts[place, target]
            if left == 0:
                continue
            for action in range(actions):
                chance[action] = policy[state, action]
                if target < states:
                    chance[action] *= leading[target, action]
            suffix = suffix_sums(chance)
            for action in range(actions):
                count, bits = binomial(bits, left, chance[action] / suffix[action])
                visits[state, action] += scale * count
                left -= count
                if left == 0:
                    break
    return bits
