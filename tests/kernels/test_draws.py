"""Counts and sums against the laws that plain step-by-step sampling has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_log_policy, random_problem
from helpers.significance import (
    assert_frequencies,
    assert_mean,
    assert_same_moments,
    assert_second_moments,
)

from theory_check.kernels.bradley_terry import label_law
from theory_check.kernels.draws import (
    DRAWS_PER_OUTCOME,
    DRAWS_PER_PAIR,
    labelled_pair_sums,
    trajectory_frequencies,
)
from theory_check.kernels.random_bits import seeded_states
from theory_check.problems import Problem

PROBLEM = random_problem(11, (2, 2, 2))
POLICY = random_log_policy(11, PROBLEM)
LAW = naive.law(PROBLEM, POLICY).numpy()
TRUE_RETURNS = naive.returns(PROBLEM, PROBLEM.true_reward).numpy()
RETURNS = naive.returns(PROBLEM, torch.tensor([[0.4, -0.9], [1.3, 0.2]]).double()).numpy()
LABELS = label_law(TRUE_RETURNS)
OUTCOMES = len(LAW)
REPLICATES = 3000


def naive_rollouts(generator: np.random.Generator, problem: Problem, number: int) -> np.ndarray:
    """Roll out step by step; returns the index of each trajectory in ``naive.paths``."""
    index = {path.visited: i for i, path in enumerate(naive.paths(problem))}
    policy, kernel = POLICY.exp().numpy(), problem.transitions.numpy()
    drawn = []
    for _ in range(number):
        state = generator.choice(problem.states, p=problem.initial.numpy())
        visited = []
        for h in range(problem.horizon):
            action = int(generator.random() < policy[h, state, 1])  # two actions
            visited.append((int(state), action))
            state = int(generator.random() < kernel[state, action, 1])  # two states
        drawn.append(index[tuple(visited)])
    return np.array(drawn)


def pair_loss(winner: np.ndarray, loser: np.ndarray, excess: bool) -> np.ndarray:
    loss = np.log1p(np.exp(RETURNS[loser] - RETURNS[winner]))
    if excess:
        loss = loss - np.log1p(np.exp(TRUE_RETURNS[loser] - TRUE_RETURNS[winner]))
    return loss


def single_pair_vectors(winner: np.ndarray, loser: np.ndarray, excess: bool) -> np.ndarray:
    """Losses and residuals of single pairs, shape (pair, 2 * trajectory) (section 4.2)."""
    one_hot = np.eye(OUTCOMES)
    loss = pair_loss(winner, loser, excess)[:, None] * (one_hot[winner] + one_hot[loser])
    weight = 1 / (1 + np.exp(RETURNS[winner] - RETURNS[loser]))
    residual = -weight[:, None] * (one_hot[winner] - one_hot[loser])
    return np.hstack([loss, residual])


def pair_moments(excess: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of one labelled pair by a sum over pairs and labels."""
    i, j = (grid.reshape(-1) for grid in np.meshgrid(range(OUTCOMES), range(OUTCOMES)))
    first = 1 / (1 + np.exp(TRUE_RETURNS[j] - TRUE_RETURNS[i]))
    probability = np.concatenate([LAW[i] * LAW[j] * first, LAW[i] * LAW[j] * (1 - first)])
    vectors = np.vstack([single_pair_vectors(i, j, excess), single_pair_vectors(j, i, excess)])
    mean = probability @ vectors
    return mean, (vectors * probability[:, None]).T @ vectors - np.outer(mean, mean)


@pytest.mark.parametrize("draws", [1, 20, DRAWS_PER_OUTCOME * 16 + 1, 1000])
def test_first_and_second_moments_of_frequencies(draws: int) -> None:
    # Multinomial(n, p) / n; the first two settings draw indices, the others counts.
    found = trajectory_frequencies(
        seeded_states(range(REPLICATES)), np.tile(LAW, (REPLICATES, 1)), draws
    )
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)
    counts = found * draws
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    if draws > 1:
        assert_mean(found, LAW)
        assert_second_moments(found, LAW, (np.diag(LAW) - np.outer(LAW, LAW)) / draws)
    else:
        assert_frequencies(counts.sum(0), LAW)


def test_total_counts_of_both_modes_and_of_plain_rollouts() -> None:
    generator = np.random.default_rng(3)
    plain = np.bincount(naive_rollouts(generator, PROBLEM, 20_000), minlength=OUTCOMES)
    assert_frequencies(plain.astype(float), LAW)
    for draws in (30, 50_000):
        replicates = 1500 if draws == 30 else 1
        found = trajectory_frequencies(
            seeded_states(range(replicates)), np.tile(LAW, (replicates, 1)), draws
        )
        assert_frequencies((found * draws).round().sum(0), LAW)


@pytest.mark.parametrize("excess", [False, True])
@pytest.mark.parametrize("draws", [40, int(DRAWS_PER_PAIR * 16**2) + 1])
def test_first_and_second_moments_of_pairs(draws: int, excess: bool) -> None:
    found = np.hstack(
        labelled_pair_sums(
            seeded_states(range(REPLICATES)),
            np.tile(LAW, (REPLICATES, 1)),
            np.tile(RETURNS, (REPLICATES, 1)),
            LABELS,
            draws,
            excess,
        )
    )
    mean, covariance = pair_moments(excess)
    assert_mean(found, mean)
    assert_second_moments(found, mean, covariance / draws)


@pytest.mark.slow
def test_pairs_of_plain_rollouts_have_the_same_moments() -> None:
    generator = np.random.default_rng(5)
    number = 20_000
    first, second = naive_rollouts(generator, PROBLEM, 2 * number).reshape(2, number)
    prefers_first = generator.random(number) < 1 / (
        1 + np.exp(TRUE_RETURNS[second] - TRUE_RETURNS[first])
    )
    winner = np.where(prefers_first, first, second)
    loser = np.where(prefers_first, second, first)
    plain = single_pair_vectors(winner, loser, False).reshape(number // 40, 40, -1).mean(1)
    for draws, group in ((40, 1), (600, 15)):
        found = np.hstack(
            labelled_pair_sums(
                seeded_states(range(1000)),
                np.tile(LAW, (1000, 1)),
                np.tile(RETURNS, (1000, 1)),
                LABELS,
                draws,
                False,
            )
        )
        # A mean of 600 pairs varies like a mean of 40 divided by sqrt(15).
        centre = pair_moments(False)[0]
        assert_same_moments(plain, centre + (found - centre) * group**0.5)


@pytest.mark.parametrize("draws", [10, 10_000])
def test_excess_losses_vanish_at_the_true_reward(draws: int) -> None:
    losses, residuals = labelled_pair_sums(
        seeded_states([0]), LAW[None], TRUE_RETURNS[None], LABELS, draws, True
    )
    assert np.abs(losses).max() < 1e-15  # for every pair and label, section 1.3
    assert np.abs(residuals).max() > 1e-3


@pytest.mark.parametrize("draws", [5, 10_000])
@pytest.mark.parametrize("zeros", [(0,), (2,), (1, 2)])
def test_outcomes_of_probability_zero(draws: int, zeros: tuple[int, ...]) -> None:
    law = np.array([[0.2, 0.5, 0.3]])
    law[0, list(zeros)] = 0.0
    law /= law.sum()
    returns = np.array([[0.0, 1.0, 900.0]])
    frequencies = trajectory_frequencies(seeded_states([0]), law, draws)
    losses, residuals = labelled_pair_sums(
        seeded_states([0]), law, returns, label_law(returns[0]), draws, False
    )
    for found in (frequencies, losses, residuals):
        assert np.isfinite(found).all()
        assert (found[0, list(zeros)] == 0).all()
    assert frequencies.sum() == pytest.approx(1)


def test_returns_far_apart_neither_overflow_nor_lose_the_loss() -> None:
    law, true = np.array([[0.5, 0.5]]), np.array([0.0, 0.0])
    losses, _ = labelled_pair_sums(
        seeded_states([0]), law, np.array([[0.0, 2000.0]]), label_law(true), 100_000, False
    )
    # Labels are fair, so a quarter of all pairs cost 2000 and half cost log 2; six deviations.
    assert losses[0].mean() == pytest.approx(500, abs=6 * 2000 * (0.25 * 0.75 / 1e5) ** 0.5 + 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_replicate_that_is_not_finite_is_nan_and_leaves_the_others(bad: float) -> None:
    law = np.array([[bad, 0.5], [0.4, 0.6]])
    returns = np.zeros((2, 2))
    together = trajectory_frequencies(seeded_states([1, 2]), law, 50)
    assert np.isnan(together[0]).all()
    assert (together[1] == trajectory_frequencies(seeded_states([2]), law[1:], 50)[0]).all()
    labels = label_law(law[1])
    losses, residuals = labelled_pair_sums(seeded_states([1, 2]), law, returns, labels, 50, False)
    assert np.isnan(losses[0]).all()
    assert np.isnan(residuals[0]).all()
    assert np.isfinite(losses[1]).all()
