"""Many independent draws entering only through counts or sums, one stream per replicate.

``n`` independent draws from a law with finitely many outcomes enter an estimator through their
counts, which are Multinomial(n, law). Conditional binomials give the counts at a cost that does not
grow with ``n``; below about one draw per outcome, drawing indices is cheaper. Both give the same
law (``docs/theory.md`` section 4).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import binomial, rare_binomial
from theory_check.kernels.random_bits import load_bits, next_uniform, store_bits

Floats = NDArray[np.float64]

# Where drawing indices stops being the cheaper way, measured on one x86-64 core: an index draw costs
# about half a conditional binomial; a pair with its label costs two cells of the table of pairs.
DRAWS_PER_OUTCOME = 2
DRAWS_PER_PAIR = 0.5


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
    for replicate in range(replicates):
        row = law[replicate]
        bits = load_bits(states[replicate])
        if not _usable(row):
            frequencies[replicate] = np.nan
        elif draws <= DRAWS_PER_OUTCOME * outcomes:
            cumulative = np.cumsum(row)
            guide = _guide(cumulative)
            for _ in range(draws):
                index, bits = _index(bits, cumulative, guide)
                frequencies[replicate, index] += 1.0 / draws
        else:
            suffix = _suffix_sums(row)
            left = draws
            for outcome in range(outcomes):
                count, bits = binomial(bits, left, row[outcome] / suffix[outcome])
                frequencies[replicate, outcome] = count / draws
                left -= count
                if left == 0:
                    break
        store_bits(states[replicate], bits)
    return frequencies


class LabelLaw(NamedTuple):
    """The annotator's law ``P*(i > j) = sigmoid(R*_i - R*_j)`` for all pairs of trajectories.

    Built once per problem by :func:`label_law`, 8 N^2 bytes for N trajectories.

    Attributes
    ----------
    returns
        ``R*``, shape (trajectory,).
    upset
        Probability that the trajectory of the smaller return wins, shape (pair,), for the pairs
        ``i < j`` row by row.
    log_favourite
        ``log(1 - upset)``, shape (pair,).
    """

    returns: Floats
    upset: Floats
    log_favourite: Floats


@numba.njit(cache=True, error_model="numpy")
def label_law(true_returns: Floats) -> LabelLaw:
    """Tabulate the annotator's law for true returns of shape (trajectory,)."""
    outcomes = true_returns.size
    upset = np.empty(outcomes * (outcomes - 1) // 2)
    log_favourite = np.empty_like(upset)
    pair = 0
    for first in range(outcomes):
        for second in range(first + 1, outcomes):
            ratio = math.exp(-abs(true_returns[first] - true_returns[second]))
            upset[pair] = ratio / (1.0 + ratio)
            log_favourite[pair] = -math.log1p(ratio)
            pair += 1
    return LabelLaw(true_returns, upset, log_favourite)


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
    diagonal); its label is Bernoulli(``sigmoid(R*_i - R*_j)``). Loss and residual depend on the pair
    and the label alone (``docs/theory.md`` section 4).

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
    for replicate in range(replicates):
        if not (_usable(law[replicate]) and _usable(returns[replicate])):
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
def _add_indexed_pairs(bits, law, returns, labels, draws, excess, sums):  # type: ignore[no-untyped-def]
    losses, residuals = sums
    outcomes = law.size
    powers = _powers(returns)
    cumulative = np.cumsum(law)
    guide = _guide(cumulative)
    for _ in range(draws):
        one, bits = _index(bits, cumulative, guide)
        other, bits = _index(bits, cumulative, guide)
        # Drawn for equal trajectories too, whose label changes nothing.
        uniform, bits = next_uniform(bits)
        if one == other:
            losses[one] += _diagonal_loss(1, excess)
            continue
        first, second = min(one, other), max(one, other)
        pair = first * (2 * outcomes - first - 1) // 2 + second - first - 1
        upsets = 1 if uniform < labels.upset[pair] else 0
        difference = returns[first] - returns[second]
        true_difference = labels.returns[first] - labels.returns[second]
        chance, log_favourite = _model(returns, powers, first, second)
        loss, wins = _loss_and_wins(1, upsets, difference, true_difference, log_favourite)
        if excess:
            loss -= _label_loss(1, upsets, true_difference, labels.log_favourite[pair])
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
    true_returns, upset, label_favourite = labels
    outcomes = law.size
    powers = _powers(returns)
    likely, rare, log_failure = _hazards(law)
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
            own_loss += _diagonal_loss(count, excess)
            _fill_model(returns, powers, first, chance, log_favourite)
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
            loss, wins = _loss_and_wins(
                count, upsets, difference, true_difference, log_favourite[second]
            )
            if excess:
                loss -= _label_loss(count, upsets, true_difference, label_favourite[cell])
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


@numba.njit(cache=True, error_model="numpy")
def _hazards(law):  # type: ignore[no-untyped-def]
    """Return ``h_j = law[j] / (law[j] + law[j+1] + ...)`` as its rarer side.

    That is whether ``h_j > 1/2``, the smaller of ``h_j`` and ``1 - h_j``, and the logarithm of the
    larger. 0 where nothing is left.
    """
    outcomes = law.size
    likely = np.zeros(outcomes, dtype=np.bool_)
    rare = np.zeros(outcomes)
    log_failure = np.zeros(outcomes)
    beyond = 0.0
    for outcome in range(outcomes - 1, -1, -1):
        total = beyond + law[outcome]
        if total > 0.0:
            likely[outcome] = law[outcome] > beyond
            rare[outcome] = min(law[outcome], beyond) / total
            log_failure[outcome] = math.log1p(-rare[outcome])
        beyond = total
    return likely, rare, log_failure


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _diagonal_loss(count, excess):  # type: ignore[no-untyped-def]
    """Return the loss of ``count`` pairs of equal trajectories, at both of its members."""
    return 0.0 if excess else 2.0 * math.log(2.0) * count


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _loss_and_wins(count, upsets, difference, true_difference, log_favourite):  # type: ignore[no-untyped-def]
    """Return ``-log P_phi(y)`` summed over ``count`` labels of one pair, and the wins of its first.

    ``log_favourite`` is the model's, as :func:`_model` gives it.
    """
    wins = count - upsets if true_difference >= 0.0 else upsets
    surprises = count - wins if difference >= 0.0 else wins
    return surprises * abs(difference) - count * log_favourite, wins


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _label_loss(count, upsets, true_difference, log_favourite):  # type: ignore[no-untyped-def]
    """Return ``-log P*(y)`` summed over ``count`` labels of one pair."""
    return upsets * abs(true_difference) - count * log_favourite


@numba.njit(cache=True, error_model="numpy")
def _fill_model(returns, powers, first, chance, log_favourite):  # type: ignore[no-untyped-def]
    """Write :func:`_model` of ``first`` against all later ones; the first loop is vectorised."""
    if powers.size > 0:
        for second in range(first + 1, returns.size):
            chance[second], log_favourite[second] = _bradley_terry(powers[first], powers[second])
    else:
        for second in range(first + 1, returns.size):
            chance[second], log_favourite[second] = _model(returns, powers, first, second)


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _model(returns, powers, first, second):  # type: ignore[no-untyped-def]
    """Return the model's ``P(first > second)`` and the logarithm of its favourite's chance."""
    if powers.size > 0:
        return _bradley_terry(powers[first], powers[second])
    difference = returns[first] - returns[second]
    return _bradley_terry(math.exp(min(difference, 0.0)), math.exp(min(-difference, 0.0)))


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _bradley_terry(own, other):  # type: ignore[no-untyped-def]
    """Return ``own / (own + other)`` and ``-log(1 + low / high)`` of the two.

    With ``z = low / (2 high + low)`` in [0, 1/3] the logarithm is ``2 artanh z``, whose series to
    ``z^31`` leaves a relative error under 2e-17. Unlike a call of ``log1p`` it is vectorised.
    """
    low, high = min(own, other), max(own, other)
    z = low / (2.0 * high + low)
    square = z * z
    series = 1.0 / 31.0
    for odd in range(29, 0, -2):
        series = series * square + 1.0 / odd
    return own / (own + other), -2.0 * z * series


@numba.njit(cache=True, error_model="numpy")
def _powers(returns):  # type: ignore[no-untyped-def]
    """Return ``exp(returns - max)``; an empty array where that would underflow.

    With it a Bradley-Terry probability costs one division instead of an exponential.
    """
    shift = returns.max()
    if shift - returns.min() > 600.0:
        return np.empty(0)
    return np.exp(returns - shift)


@numba.njit(cache=True, error_model="numpy")
def _guide(cumulative):  # type: ignore[no-untyped-def]
    """Return where to start looking for each of equally spaced targets.

    Inverting a distribution then takes a bounded number of steps on average (Chen and Asau 1974).
    """
    outcomes = cumulative.size
    guide = np.empty(outcomes, dtype=np.int64)
    outcome = 0
    for cell in range(outcomes):
        target = cumulative[-1] * cell / outcomes
        while cumulative[outcome] <= target and outcome < outcomes - 1:
            outcome += 1
        guide[cell] = outcome
    return guide


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _index(bits, cumulative, guide):  # type: ignore[no-untyped-def]
    """Draw an index from the law whose running sums are ``cumulative``."""
    uniform, bits = next_uniform(bits)
    target = uniform * cumulative[-1]
    index = guide[int(uniform * guide.size)]
    while cumulative[index] <= target and index < cumulative.size - 1:
        index += 1
    return index, bits


@numba.njit(cache=True, error_model="numpy")
def _suffix_sums(values):  # type: ignore[no-untyped-def]
    sums = np.empty_like(values)
    total = 0.0
    for index in range(values.size - 1, -1, -1):
        total += values[index]
        sums[index] = total
    return sums


@numba.njit(cache=True, error_model="numpy")
def _usable(values):  # type: ignore[no-untyped-def]
    return np.isfinite(values).all()
