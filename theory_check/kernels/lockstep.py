"""Draws of many replicates in lockstep, so that the common case of a binomial is vectorised.

The numbers, and the generators after them, are bit by bit those of one replicate after the other
(``kernels/draws.py``). Rows of the arrays here are quantities and columns replicates. Those of a
draw lie in one array at constant distances, so that loops over it are vectorised without asking whether
arrays overlap.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import INVERSION_MEAN, accepts, rare_binomial
from theory_check.kernels.bradley_terry import (
    Floats,
    LabelLaw,
    bradley_terry,
    diagonal_loss,
    powers_of,
)
from theory_check.kernels.conditional import suffix_sums

WIDTH = 32
"""Replicates at a time."""

LANES = 8
"""Numbers of a vector: replicates go in lockstep in multiples of it."""

LARGEST = 2**53
"""Counts are kept as real numbers, which hold integers up to here."""

UNIT = 1.0 / 9007199254740992.0

# Rows of the words of generators: four now, and three after the draw.
A, B, C, D, NEXT_A, NEXT_B, NEXT_C = range(0, 7 * WIDTH, WIDTH)
# Rows of a draw: what it is from, what came out, whether that is undecided, and what decides it.
TRIALS, CHANCE, LOG_FAILURE, DRAWN, OPEN, DISTANCE, V = range(0, 7 * WIDTH, WIDTH)
# Rows of the first trajectory of a pair, and of one pair.
OWN_LOSS, OWN_RESIDUAL, POWER, RETURN, COUNT, LEFT, UNASSIGNED, LOSS, RESIDUAL = range(
    0, 9 * WIDTH, WIDTH
)


@numba.njit(cache=True, error_model="numpy")
def add_pairs_in_lockstep(
    states: NDArray[np.uint64],
    replicates: NDArray[np.int64],
    law: Floats,
    returns: Floats,
    labels: LabelLaw,
    draws: int,
    excess: bool,
    losses: Floats,
    residuals: Floats,
) -> None:
    """Draw labelled pairs and add their losses and residuals, as ``labelled_pair_sums`` has them.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    replicates
        Which ones take part; their laws and returns are finite, and ``powers_of`` the returns not empty.
    law, returns, labels, draws, excess
        As of ``labelled_pair_sums``; at most ``LARGEST`` draws.
    losses, residuals
        Shape (replicate, trajectory); added to.
    """
    words = np.zeros(7 * WIDTH, dtype=np.uint64)
    for first in range(0, replicates.size, WIDTH):
        rows = replicates[first : first + WIDTH]
        _load(states, rows, words)
        found = _pair_sums(words, law[rows].T.copy(), returns[rows].T.copy(), labels, draws, excess)
        _store(states, rows, words)
        for lane in range(rows.size):
            losses[rows[lane]] += found[0, :, lane]
            residuals[rows[lane]] += found[1, :, lane]


@numba.njit(cache=True, error_model="numpy")
def add_frequencies_in_lockstep(
    states: NDArray[np.uint64],
    replicates: NDArray[np.int64],
    law: Floats,
    draws: int,
    frequencies: Floats,
) -> None:
    """Draw outcomes and add their frequencies, as ``trajectory_frequencies`` has them.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    replicates
        Which ones take part; their laws are finite.
    law, draws
        As of ``trajectory_frequencies``; at most ``LARGEST`` draws.
    frequencies
        Shape (replicate, outcome); added to.
    """
    words = np.zeros(7 * WIDTH, dtype=np.uint64)
    draw = np.zeros(7 * WIDTH)
    left = np.empty(WIDTH)
    for first in range(0, replicates.size, WIDTH):
        rows = replicates[first : first + WIDTH]
        lanes = rows.size
        chances = np.empty((lanes, law.shape[1]))
        for lane in range(lanes):
            chances[lane] = law[rows[lane]] / suffix_sums(law[rows[lane]])
        _load(states, rows, words)
        left[:lanes] = draws
        for outcome in range(law.shape[1]):
            for lane in range(lanes):
                chance = chances[lane, outcome]
                draw[TRIALS + lane] = left[lane]
                draw[CHANCE + lane] = min(chance, 1.0 - chance)
            _draw_alone(words, draw, lanes)
            some = False
            for lane in range(lanes):
                count = draw[DRAWN + lane]
                if chances[lane, outcome] > 0.5:
                    count = left[lane] - count
                left[lane] -= count
                frequencies[rows[lane], outcome] += count / draws
                some |= left[lane] > 0.0
            if not some:
                break
        _store(states, rows, words)


@numba.njit(cache=True, error_model="numpy")
def _load(states, rows, words):  # type: ignore[no-untyped-def]
    for lane in range(rows.size):
        for word in range(4):
            words[word * WIDTH + lane] = states[rows[lane], word]


@numba.njit(cache=True, error_model="numpy")
def _store(states, rows, words):  # type: ignore[no-untyped-def]
    for lane in range(rows.size):
        for word in range(4):
            states[rows[lane], word] = words[word * WIDTH + lane]


@numba.njit(cache=True, error_model="numpy")
def _pair_sums(words, law, returns, labels, draws, excess):  # type: ignore[no-untyped-def]
    """Return losses and residuals, shape (2, trajectory, lane); see ``draws._add_counted_pairs``."""
    true_returns, upset, label_favourite = labels.returns, labels.upset, labels.log_favourite
    outcomes, lanes = law.shape
    sums = np.zeros((2, outcomes, lanes))
    hazard, rare, log_failure, likely = _hazards(law)
    powers = np.empty_like(returns)
    for lane in range(lanes):
        powers[:, lane] = powers_of(returns[:, lane].copy())
    draw = np.zeros(7 * WIDTH)
    own = np.zeros(9 * WIDTH)
    own[UNASSIGNED : UNASSIGNED + lanes] = draws
    pair = 0
    for first in range(outcomes):
        _assign(words, draw, own, hazard[first], excess, lanes)
        own[POWER : POWER + lanes] = powers[first]
        own[RETURN : RETURN + lanes] = returns[first]
        for second in range(first + 1, outcomes):
            cell = pair + second - first - 1
            _split(words, draw, own, rare[second], log_failure[second], likely[second], lanes)
            for lane in range(lanes):
                draw[TRIALS + lane] = own[COUNT + lane]
                draw[CHANCE + lane] = upset[cell]
                draw[LOG_FAILURE + lane] = label_favourite[cell]
            _draw(words, draw, lanes)
            true_difference = true_returns[first] - true_returns[second]
            stated = labels.log_odds.size > 0
            _model(
                draw,
                own,
                powers[second],
                returns[second],
                true_difference >= 0.0,
                labels.log_odds[cell] if stated else abs(true_difference),
                label_favourite[cell],
                excess,
                lanes,
            )
            for lane in range(lanes):
                sums[0, second, lane] += own[LOSS + lane]
                sums[1, second, lane] -= own[RESIDUAL + lane]
        for lane in range(lanes):
            sums[0, first, lane] += own[OWN_LOSS + lane]
            sums[1, first, lane] += own[OWN_RESIDUAL + lane]
        pair += outcomes - first - 1
    return sums


@numba.njit(cache=True, error_model="numpy")
def _hazards(law):  # type: ignore[no-untyped-def]
    """Return ``h_j``, its rarer side, the logarithm of the other one, and 1 where ``h_j > 1/2``."""
    rare, log_failure, likely = np.zeros_like(law), np.zeros_like(law), np.zeros_like(law)
    beyond = np.zeros(law.shape[1])
    for outcome in range(law.shape[0] - 1, -1, -1):
        for lane in range(beyond.size):
            total = beyond[lane] + law[outcome, lane]
            if total > 0.0:
                likely[outcome, lane] = 1.0 if law[outcome, lane] > beyond[lane] else 0.0
                rare[outcome, lane] = min(law[outcome, lane], beyond[lane]) / total
                log_failure[outcome, lane] = math.log1p(-rare[outcome, lane])
            beyond[lane] = total
    return np.where(likely == 1.0, 1.0 - rare, rare), rare, log_failure, likely


@numba.njit(cache=True, error_model="numpy")
def _assign(words, draw, own, hazard, excess, lanes):  # type: ignore[no-untyped-def]
    """Draw how many pairs have a trajectory and none before it, and how many have it twice."""
    for lane in range(lanes):
        chance = hazard[lane] * (2.0 - hazard[lane])
        draw[TRIALS + lane] = own[UNASSIGNED + lane]
        draw[CHANCE + lane] = min(chance, 1.0 - chance)
    _draw_alone(words, draw, lanes)
    for lane in range(lanes):
        count = draw[DRAWN + lane]
        if hazard[lane] * (2.0 - hazard[lane]) > 0.5:
            count = draw[TRIALS + lane] - count
        own[UNASSIGNED + lane] -= count
        own[LEFT + lane] = count
        chance = hazard[lane] / (2.0 - hazard[lane])
        draw[TRIALS + lane] = count
        draw[CHANCE + lane] = min(chance, 1.0 - chance)
    _draw_alone(words, draw, lanes)
    for lane in range(lanes):
        count = draw[DRAWN + lane]
        if hazard[lane] / (2.0 - hazard[lane]) > 0.5:
            count = draw[TRIALS + lane] - count
        own[LEFT + lane] -= count
        own[OWN_LOSS + lane] = diagonal_loss(count, excess)
        own[OWN_RESIDUAL + lane] = 0.0


@numba.njit(cache=True, error_model="numpy")
def _draw_alone(words, draw, lanes):  # type: ignore[no-untyped-def]
    """Draw with chances that no other draw has: the logarithm is taken where it is needed."""
    for lane in range(lanes):
        chance = draw[CHANCE + lane]
        if draw[TRIALS + lane] * chance < INVERSION_MEAN:
            draw[LOG_FAILURE + lane] = math.log1p(-chance)
    _draw(words, draw, lanes)


@numba.njit(cache=True, error_model="numpy")
def _split(words, draw, own, rare, log_failure, likely, lanes):  # type: ignore[no-untyped-def]
    """Draw how many of the pairs that are left have the next trajectory as their second."""
    for lane in range(lanes):
        draw[TRIALS + lane] = own[LEFT + lane]
        draw[CHANCE + lane] = rare[lane]
        draw[LOG_FAILURE + lane] = log_failure[lane]
    _draw(words, draw, lanes)
    for lane in range(lanes):
        other = draw[TRIALS + lane] - draw[DRAWN + lane]
        count = other if likely[lane] == 1.0 else draw[DRAWN + lane]
        own[COUNT + lane] = count
        own[LEFT + lane] = draw[TRIALS + lane] - count


@numba.njit(cache=True, error_model="numpy")
def _model(draw, own, power, value, first_wins, log_odds, favourite, excess, lanes):  # type: ignore[no-untyped-def]
    """Write loss and residual of the labels that were drawn, and add them to those of the first."""
    for lane in range(lanes):
        count, upsets = own[COUNT + lane], draw[DRAWN + lane]
        chance, log_favourite = bradley_terry(own[POWER + lane], power[lane])
        difference = own[RETURN + lane] - value[lane]
        wins = count - upsets if first_wins else upsets
        surprises = count - wins if difference >= 0.0 else wins
        loss = surprises * abs(difference) - count * log_favourite
        if excess:
            loss -= upsets * log_odds - count * favourite
        residual = count * chance - wins
        own[OWN_LOSS + lane] += loss
        own[OWN_RESIDUAL + lane] += residual
        own[LOSS + lane] = loss
        own[RESIDUAL + lane] = residual


@numba.njit(cache=True, error_model="numpy")
def _draw(words, draw, lanes):  # type: ignore[no-untyped-def]
    """Draw Binomial(trials, chance) of every lane, with chances up to 1/2; see ``rare_binomial``."""
    for lane in range(lanes):
        a, b, c = words[A + lane], words[B + lane], words[C + lane]
        counter = words[D + lane]
        # Two steps of the generator, as next_word takes them.
        one = a + b + counter
        rotated = (c << np.uint64(24)) | (c >> np.uint64(40))
        next_a, next_b = b ^ (b >> np.uint64(11)), c + (c << np.uint64(3))
        next_c = rotated + one
        two = next_a + next_b + counter + np.uint64(1)
        rotated = (next_c << np.uint64(24)) | (next_c >> np.uint64(40))
        # The first attempt of _transformed_rejection. Shifted words are positive as signed integers.
        u = np.float64(np.int64(one >> np.uint64(11))) * UNIT - 0.5
        v = np.float64(np.int64(two >> np.uint64(11))) * UNIT
        mean = draw[TRIALS + lane] * draw[CHANCE + lane]
        spread = math.sqrt(mean * (1.0 - draw[CHANCE + lane]))
        scale = 1.15 + 2.53 * spread
        twice_a = -0.1746 + 0.0496 * scale + 0.02 * draw[CHANCE + lane]
        distance = 0.5 - abs(u)
        count = np.floor((twice_a / distance + scale) * u + (mean + 0.5))
        taken = (mean >= INVERSION_MEAN) & (distance >= 0.07) & ((0.92 - v) * scale >= 4.2)
        draw[DRAWN + lane] = count
        draw[OPEN + lane] = 0.0 if taken else 1.0
        draw[DISTANCE + lane] = distance
        draw[V + lane] = v
        words[NEXT_A + lane] = next_b ^ (next_b >> np.uint64(11))
        words[NEXT_B + lane] = next_c + (next_c << np.uint64(3))
        words[NEXT_C + lane] = rotated + two
    for lane in range(lanes):
        if draw[OPEN + lane] == 0.0:
            continue
        trials, chance, count = draw[TRIALS + lane], draw[CHANCE + lane], draw[DRAWN + lane]
        bits = (words[A + lane], words[B + lane], words[C + lane], words[D + lane])
        if trials * chance >= INVERSION_MEAN:
            inside = 0.0 <= count <= trials
            if inside and accepts(trials, chance, count, draw[DISTANCE + lane], draw[V + lane]):
                continue
            # The first attempt has failed: the next one begins after its two uniforms.
            following = words[D + lane] + np.uint64(2)
            bits = (words[NEXT_A + lane], words[NEXT_B + lane], words[NEXT_C + lane], following)
        drawn, bits = rare_binomial(bits, int(trials), chance, draw[LOG_FAILURE + lane])
        draw[DRAWN + lane] = drawn
        words[NEXT_A + lane], words[NEXT_B + lane], words[NEXT_C + lane] = bits[0], bits[1], bits[2]
        words[D + lane] = bits[3] - np.uint64(2)  # which are added to those of all lanes
    for lane in range(lanes):
        words[A + lane] = words[NEXT_A + lane]
        words[B + lane] = words[NEXT_B + lane]
        words[C + lane] = words[NEXT_C + lane]
        words[D + lane] += np.uint64(2)
