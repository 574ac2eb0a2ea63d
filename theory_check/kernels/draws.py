"""Many independent draws entering only through counts or sums, one stream per replicate.

``n`` independent draws from a law with finitely many outcomes enter an estimator through their
counts, which are Multinomial(n, law). Conditional binomials give the counts at a cost that does not
grow with ``n``; below about one draw per outcome, drawing indices is cheaper. Both give the same
law (``docs/theory.md`` section 4).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.binomial import binomial
from theory_check.kernels.random_bits import next_uniform

Floats = NDArray[np.float64]

# Measured on one x86-64 core: an index draw costs about half a conditional binomial.
DRAWS_PER_OUTCOME = 2


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
        if not _usable(row):
            frequencies[replicate] = np.nan
        elif draws <= DRAWS_PER_OUTCOME * outcomes:
            cumulative = np.cumsum(row)
            guide = _guide(cumulative)
            for _ in range(draws):
                index = _index(states[replicate], cumulative, guide)
                frequencies[replicate, index] += 1.0 / draws
        else:
            suffix = _suffix_sums(row)
            left = draws
            for outcome in range(outcomes):
                count = binomial(states[replicate], left, row[outcome] / suffix[outcome])
                frequencies[replicate, outcome] = count / draws
                left -= count
                if left == 0:
                    break
    return frequencies


@numba.njit(cache=True, error_model="numpy")
def labelled_pair_sums(
    states: NDArray[np.uint64],
    law: Floats,
    returns: Floats,
    true_returns: Floats,
    draws: int,
    excess: bool,
) -> tuple[Floats, Floats]:
    """Draw labelled pairs and return what the upper-level estimators need of them.

    A pair of independent trajectories with a label is an ordered (winner, loser) pair with law
    ``2 rho_i rho_j sigmoid(R*_i - R*_j)``; loss and residual depend on nothing else
    (``docs/theory.md`` section 4).

    Parameters
    ----------
    states
        Generator states, shape (replicate, 4); advanced in place.
    law
        Probabilities of trajectories, shape (replicate, trajectory).
    returns
        ``R_phi``, shape (replicate, trajectory).
    true_returns
        ``R*``, shape (trajectory,).
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
    true_powers, true_shift = _powers(true_returns)
    for replicate in range(replicates):
        if not (_usable(law[replicate]) and _usable(returns[replicate])):
            losses[replicate] = np.nan
            residuals[replicate] = np.nan
            continue
        powers, shift = _powers(returns[replicate])
        scores = (returns[replicate] - shift, powers, true_returns - true_shift, true_powers)
        sums = (losses[replicate], residuals[replicate])
        if draws <= DRAWS_PER_OUTCOME * outcomes * outcomes:
            _add_indexed_pairs(states[replicate], law[replicate], scores, draws, excess, sums)
        else:
            _add_counted_pairs(states[replicate], law[replicate], scores, draws, excess, sums)
    return losses, residuals


@numba.njit(cache=True, error_model="numpy")
def _add_indexed_pairs(state, law, scores, draws, excess, sums):  # type: ignore[no-untyped-def]
    _, _, true_returns, true_powers = scores
    cumulative = np.cumsum(law)
    guide = _guide(cumulative)
    for _ in range(draws):
        first = _index(state, cumulative, guide)
        second = _index(state, cumulative, guide)
        if next_uniform(state) < _beats(true_returns, true_powers, first, second):
            _add_pair(first, second, 1.0 / draws, scores, excess, sums)
        else:
            _add_pair(second, first, 1.0 / draws, scores, excess, sums)


@numba.njit(cache=True, error_model="numpy")
def _add_counted_pairs(state, law, scores, draws, excess, sums):  # type: ignore[no-untyped-def]
    _, _, true_returns, true_powers = scores
    outcomes = law.size
    winner_law = np.empty(outcomes)
    for winner in range(outcomes):
        beaten = 0.0
        for loser in range(outcomes):
            beaten += law[loser] * _beats(true_returns, true_powers, winner, loser)
        winner_law[winner] = law[winner] * beaten
    winner_suffix = _suffix_sums(winner_law)
    row = np.empty(outcomes)
    unassigned = draws
    for winner in range(outcomes):
        left = binomial(state, unassigned, winner_law[winner] / winner_suffix[winner])
        unassigned -= left
        if left == 0:
            continue
        for loser in range(outcomes):
            row[loser] = law[loser] * _beats(true_returns, true_powers, winner, loser)
        suffix = _suffix_sums(row)
        for loser in range(outcomes):
            count = binomial(state, left, row[loser] / suffix[loser])
            if count > 0:
                _add_pair(winner, loser, count / draws, scores, excess, sums)
                left -= count
                if left == 0:
                    break


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _add_pair(winner, loser, weight, scores, excess, sums):  # type: ignore[no-untyped-def]
    returns, powers, true_returns, _ = scores
    losses, residuals = sums
    lost = _beats(returns, powers, loser, winner)
    loss = -math.log(1.0 - lost) if lost < 0.5 else _log_loss(returns, winner, loser)
    if excess:
        loss -= _log_loss(true_returns, winner, loser)
    losses[winner] += weight * loss
    losses[loser] += weight * loss
    residuals[winner] -= weight * lost
    residuals[loser] += weight * lost


@numba.njit(cache=True, error_model="numpy")
def _powers(returns):  # type: ignore[no-untyped-def]
    """Return ``exp(returns - max)`` and the maximum; an empty array where that would underflow.

    With it a Bradley-Terry probability costs one division instead of an exponential.
    """
    shift = returns.max()
    if shift - returns.min() > 600.0:
        return np.empty(0), shift
    return np.exp(returns - shift), shift


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _beats(returns, powers, winner, loser):  # type: ignore[no-untyped-def]
    """Return ``sigmoid(returns[winner] - returns[loser])``."""
    if powers.size == 0:
        return 1.0 / (1.0 + math.exp(returns[loser] - returns[winner]))
    return powers[winner] / (powers[winner] + powers[loser])


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def _log_loss(returns, winner, loser):  # type: ignore[no-untyped-def]
    """Return ``-log sigmoid(returns[winner] - returns[loser])``."""
    difference = returns[winner] - returns[loser]
    return max(-difference, 0.0) + math.log1p(math.exp(-abs(difference)))


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
def _index(state, cumulative, guide):  # type: ignore[no-untyped-def]
    """Draw an index from the law whose running sums are ``cumulative``."""
    uniform = next_uniform(state)
    target = uniform * cumulative[-1]
    index = guide[int(uniform * guide.size)]
    while cumulative[index] <= target and index < cumulative.size - 1:
        index += 1
    return index


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
