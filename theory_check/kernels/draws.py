"""Many independent draws entering only through counts or sums, one stream per replicate.

``n`` independent draws from a law with finitely many outcomes enter an estimator through their
counts, which are Multinomial(n, law). Conditional binomials give the counts at a cost that does not
grow with ``n``; below about one draw per outcome, drawing indices is cheaper. Both give the same
law (``docs/theory.md`` section 4).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import binomial, rare_binomial
from theory_check.kernels.bradley_terry import (
    Floats,
    LabelLaw,
    diagonal_loss,
    fill_model,
    label_loss,
    loss_and_wins,
    model_of_pair,
    powers_of,
)
from theory_check.kernels.conditional import hazards, suffix_sums, usable
from theory_check.kernels.lockstep import (
    LANES,
    LARGEST,
    add_frequencies_in_lockstep,
    add_pairs_in_lockstep,
)
from theory_check.kernels.random_bits import (
    draw_index,
    guide_table,
    load_bits,
    next_uniform,
    store_bits,
)

# Where drawing indices stops being the cheaper way, measured on one x86-64 core: an index draw costs
# about half a conditional binomial; a pair with its label costs two cells of the table of pairs.
DRAWS_PER_OUTCOME = 2
DRAWS_PER_PAIR = 0.5
# Where drawing in lockstep starts being the faster way: with fewer draws most of them are inversions.
LOCKSTEP_PER_PAIR = 8
LOCKSTEP_PER_OUTCOME = 32


@numba.njit(cache=True, error_model="numpy")
def trajectory_frequencies(states: NDArray[np.uint64], law: Floats, draws: int) -> Floats:
    """Return the observed frequency of every trajectory among ``draws`` independent ones.

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    law
        Probabilities, shape (replicate, trajectory); a row with a number that is not finite gives
        NaN and draws nothing.
    draws
        Number of draws n >= 1.
    """
    replicates, outcomes = law.shape
    frequencies = np.zeros((replicates, outcomes))
    together = np.zeros(replicates, dtype=np.bool_)
    if replicates >= LANES and LOCKSTEP_PER_OUTCOME * outcomes <= draws <= LARGEST:
        for replicate in range(replicates):
            together[replicate] = usable(law[replicate])
        keep_whole_vectors(together)
        add_frequencies_in_lockstep(states, np.flatnonzero(together), law, draws, frequencies)
    for replicate in range(replicates):
        if together[replicate]:
            continue
        row = law[replicate]
        bits = load_bits(states[replicate])
        if not usable(row):
            frequencies[replicate] = np.nan
        elif draws <= DRAWS_PER_OUTCOME * outcomes:
            cumulative = np.cumsum(row)
            guide = guide_table(cumulative)
            for _ in range(draws):
                index, bits = draw_index(bits, cumulative, guide)
                frequencies[replicate, index] += 1.0 / draws
        else:
            suffix = suffix_sums(row)
            left = draws
            for outcome in range(outcomes):
                count, bits = binomial(bits, left, row[outcome] / suffix[outcome])
                frequencies[replicate, outcome] = count / draws
                left -= count
                if left == 0:
                    break
        store_bits(states[replicate], bits)
    return frequencies


@numba.njit(cache=True, error_model="numpy")
def labelled_pair_sums(
    states: NDArray[np.uint64],
    law: Floats,
    returns: Floats,
    labels: LabelLaw,
    draws: int,
    excess: bool,
) -> tuple[Floats, Floats]:
    """Draw labelled pairs and return what the upper-level estimators need of them.

    Two independent trajectories are an unordered pair with law ``2 rho_i rho_j`` (``rho_i^2`` on the
    diagonal); its label follows the annotator's law. Loss and residual depend on the pair and
    the label alone (``docs/theory.md`` section 4).

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    law
        Probabilities of trajectories, shape (replicate, trajectory).
    returns
        ``R_phi``, shape (replicate, trajectory).
    labels
        The annotator's law.
    draws
        Number of labelled pairs B >= 1.
    excess
        Whether the loss is ``log P*(y) - log P_phi(y)`` instead of ``-log P_phi(y)``.

    Returns
    -------
    losses
        Mean over pairs of ``loss * (1[winner is tau] + 1[loser is tau])``, shape
        (replicate, trajectory).
    residuals
        Mean over pairs of ``-P_phi(loser > winner) * (1[winner is tau] - 1[loser is tau])``, shape
        (replicate, trajectory): the derivative of the mean loss in ``R_phi(tau)``.
    """
    replicates, outcomes = law.shape
    losses = np.zeros((replicates, outcomes))
    residuals = np.zeros((replicates, outcomes))
    together = in_lockstep(law, returns, draws)
    add_pairs_in_lockstep(
        states,
        np.flatnonzero(together),
        law,
        returns,
        labels,
        draws,
        excess,
        losses,
        residuals,
    )
    for replicate in range(replicates):
        if together[replicate]:
            continue
        if not (usable(law[replicate]) and usable(returns[replicate])):
            losses[replicate] = np.nan
            residuals[replicate] = np.nan
            continue
        bits = load_bits(states[replicate])
        sums = (losses[replicate], residuals[replicate])
        if draws <= DRAWS_PER_PAIR * outcomes * outcomes:
            bits = _add_indexed_pairs(
                bits, law[replicate], returns[replicate], labels, draws, excess, sums
            )
        else:
            bits = _add_counted_pairs(
                bits, law[replicate], returns[replicate], labels, draws, excess, sums
            )
        store_bits(states[replicate], bits)
    losses /= draws
    residuals /= draws
    return losses, residuals


@numba.njit(cache=True, error_model="numpy")
def in_lockstep(law, returns, draws):  # type: ignore[no-untyped-def]
    """Return which replicates draw their pairs in lockstep: a multiple of ``LANES``, or none."""
    replicates, outcomes = law.shape
    together = np.zeros(replicates, dtype=np.bool_)
    if replicates < LANES or not LOCKSTEP_PER_PAIR * outcomes * outcomes <= draws <= LARGEST:
        return together
    for replicate in range(replicates):
        finite = usable(law[replicate]) and usable(returns[replicate])
        together[replicate] = finite and powers_of(returns[replicate]).size > 0
    keep_whole_vectors(together)
    return together


@numba.njit(cache=True, error_model="numpy")
def keep_whole_vectors(together):  # type: ignore[no-untyped-def]
    """Leave the last ones out that are not a multiple of ``LANES``."""
    rows = np.flatnonzero(together)
    together[rows[rows.size - rows.size % LANES :]] = False


@numba.njit(cache=True, error_model="numpy")
def _add_indexed_pairs(bits, law, returns, labels, draws, excess, sums):  # type: ignore[no-untyped-def]
    losses, residuals = sums
    outcomes = law.size
    powers = powers_of(returns)
    cumulative = np.cumsum(law)
    guide = guide_table(cumulative)
    for _ in range(draws):
        one, bits = draw_index(bits, cumulative, guide)
        other, bits = draw_index(bits, cumulative, guide)
        # Drawn for equal trajectories too, whose label changes nothing.
        uniform, bits = next_uniform(bits)
        if one == other:
            losses[one] += diagonal_loss(1, excess)
            continue
        first, second = min(one, other), max(one, other)
        pair = first * (2 * outcomes - first - 1) // 2 + second - first - 1
        upsets = 1 if uniform < labels.upset[pair] else 0
        difference = returns[first] - returns[second]
        true_difference = labels.returns[first] - labels.returns[second]
        chance, log_favourite = model_of_pair(returns, powers, first, second)
        loss, wins = loss_and_wins(1, upsets, difference, true_difference, log_favourite)
        if excess:
            loss -= label_loss(1, upsets, true_difference, labels, pair)
        losses[first] += loss
        losses[second] += loss
        residuals[first] += chance - wins
        residuals[second] -= chance - wins
    return bits


@numba.njit(cache=True, error_model="numpy")
def _add_counted_pairs(bits, law, returns, labels, draws, excess, sums):  # type: ignore[no-untyped-def]
    """Split the draws over pairs ``i <= j`` by conditional binomials, then the pairs by label.

    With ``h_i = rho_i / (rho_i + rho_{i+1} + ...)``, a pair without trajectories before i has i in
    it with probability ``h_i (2 - h_i)``; it is then (i, i) with probability ``h_i / (2 - h_i)``,
    and otherwise its partner is j with probability ``h_j`` among j, j + 1, ...
    """
    losses, residuals = sums
    true_returns, upset, label_favourite = labels.returns, labels.upset, labels.log_favourite
    outcomes = law.size
    powers = powers_of(returns)
    likely, rare, log_failure = hazards(law)
    chance, log_favourite = np.empty(outcomes), np.empty(outcomes)
    unassigned = draws
    pair = 0
    for first in range(outcomes):
        hazard = 1.0 - rare[first] if likely[first] else rare[first]
        left, bits = binomial(bits, unassigned, hazard * (2.0 - hazard))
        unassigned -= left
        own_loss, own_residual = 0.0, 0.0
        if left > 0:
            count, bits = binomial(bits, left, hazard / (2.0 - hazard))
            left -= count
            own_loss += diagonal_loss(count, excess)
            fill_model(returns, powers, first, chance, log_favourite)
        for second in range(first + 1, outcomes):
            if left == 0:
                break
            count, bits = rare_binomial(bits, left, rare[second], log_failure[second])
            if likely[second]:
                count = left - count
            left -= count
            if count == 0:
                continue
            cell = pair + second - first - 1
            upsets, bits = rare_binomial(bits, count, upset[cell], label_favourite[cell])
            difference = returns[first] - returns[second]
            true_difference = true_returns[first] - true_returns[second]
            loss, wins = loss_and_wins(
                count, upsets, difference, true_difference, log_favourite[second]
            )
            if excess:
                loss -= label_loss(count, upsets, true_difference, labels, cell)
            residual = count * chance[second] - wins
            own_loss += loss
            own_residual += residual
            losses[second] += loss
            residuals[second] -= residual
        losses[first] += own_loss
        residuals[first] += own_residual
        pair += outcomes - first - 1
        if unassigned == 0:
            break
    return bits
