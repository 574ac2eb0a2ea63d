"""Rewards of largest likelihood against closed forms and another optimiser; separation is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from theory_check.oracles.optima.maximum_likelihood import (
    fisher_information,
    fit_rewards,
    fit_with_prior,
    predicted_gap,
)


def counts(items: int, pairs: int, seed: int) -> Tensor:
    generator = np.random.default_rng(seed)
    drawn = generator.poisson(pairs / items**2, size=(items, items)) + 1
    return torch.from_numpy(drawn.astype(np.float64))


def loss(wins: np.ndarray, reward: np.ndarray, precision: float = 0.0) -> float:
    difference = reward[:, None] - reward[None, :]
    return float((wins * np.logaddexp(0, -difference)).sum() + precision / 2 * (reward**2).sum())


def test_two_items_by_hand() -> None:
    """``r_1 - r_2 = log(w_12 / w_21)``; comparisons of an item with itself say nothing."""
    wins = torch.tensor([[[7.0, 30.0], [10.0, 2.0]], [[0.0, 1.0], [1e6, 0.0]]], dtype=torch.float64)
    fit = fit_rewards(wins)
    assert fit.exists.tolist() == [True, True]
    np.testing.assert_allclose(
        fit.reward[:, 0] - fit.reward[:, 1], [math.log(3), -math.log(1e6)], rtol=1e-9
    )
    np.testing.assert_allclose(fit.reward.sum(-1), 0.0, atol=1e-12)


@pytest.mark.parametrize("deviation", [None, 0.7])
def test_against_another_optimiser(deviation: float | None) -> None:
    """BFGS stops at gradients of 1e-6 of 400 comparisons, a relative 1e-8 of the rewards squared."""
    precision = 0.0 if deviation is None else deviation**-2
    wins = torch.stack([counts(5, 400, seed) for seed in range(3)])
    found = fit_rewards(wins).reward if deviation is None else fit_with_prior(wins, deviation)
    for row, table in zip(found.numpy(), wins.numpy(), strict=True):
        other = minimize(
            lambda reward, table=table: loss(table, reward, precision), np.zeros(5), method="BFGS"
        ).x
        np.testing.assert_allclose(row, other - other.mean(), atol=1e-4)
        assert loss(table, row, precision) <= loss(table, other, precision) + 1e-9


def test_separation_is_seen_and_only_that() -> None:
    """Who has never lost, or two groups of which one always wins; a cycle alone is enough."""
    cycle = torch.zeros(4, 4, dtype=torch.float64)
    for item in range(4):
        cycle[item, (item + 1) % 4] = 1.0
    unbeaten = counts(4, 100, 0)
    unbeaten[:, 2] = 0.0
    groups = counts(4, 100, 1)
    groups[2:, :2] = 0.0
    never_met = counts(4, 100, 2)
    never_met[3], never_met[:, 3] = 0.0, 0.0
    fit = fit_rewards(torch.stack([cycle, unbeaten, groups, never_met]))
    assert fit.exists.tolist() == [True, False, False, False]
    assert torch.isnan(fit.reward[1:]).all()
    np.testing.assert_allclose(fit.reward[0], 0.0, atol=1e-9)
    # The likelihood of the separated ones grows along a direction for ever, that of a cycle does not.
    for table, direction in (
        (unbeaten, [-1.0, -1.0, 3.0, -1.0]),
        (groups, [1.0, 1.0, -1.0, -1.0]),
    ):
        far = np.array(direction)
        assert loss(table.numpy(), 3 * far) < loss(table.numpy(), far)
    assert loss(cycle.numpy(), np.arange(4.0) * 3) > loss(cycle.numpy(), np.arange(4.0))


def test_a_wide_prior_changes_little_and_exists_where_nothing_else_does() -> None:
    wins = counts(4, 4000, 0)[None]
    wide, none = fit_with_prior(wins, 1e3), fit_rewards(wins).reward
    np.testing.assert_allclose(wide, none, atol=1e-5)
    unbeaten = wins.clone()
    unbeaten[:, :, 2] = 0.0
    (found,) = fit_with_prior(unbeaten, 10.0)
    assert found.argmax() == 2
    assert 1 < found[2] - found[[0, 1, 3]].max() < 30


def test_information_is_the_curvature_of_the_expected_loss() -> None:
    law = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    reward = torch.tensor([0.3, -1.0, 0.5, 2.0], dtype=torch.float64)
    chance = torch.sigmoid(reward[:, None] - reward[None, :])

    def expected(other: Tensor) -> Tensor:
        difference = other[:, None] - other[None, :]
        each = chance * torch.nn.functional.softplus(-difference)
        each = each + (1 - chance) * torch.nn.functional.softplus(difference)
        return (law[:, None] * law[None, :] * each).sum()

    curvature = torch.autograd.functional.hessian(expected, reward)
    np.testing.assert_allclose(fisher_information(law, reward), curvature, atol=1e-15)


def test_predicted_gap_of_two_actions_by_hand() -> None:
    """``M``, ``F`` are multiples of (1, -1)(1, -1)^T: ``p (1-p) / (2 mu_1 mu_2 s (1-s)) / (2 beta)``."""
    law = torch.tensor([0.3, 0.7], dtype=torch.float64)
    reward = torch.tensor([1.0, -0.4], dtype=torch.float64)
    policy = torch.softmax(reward / 0.5, 0)
    metric = torch.diag(policy) - torch.outer(policy, policy)
    chance = 1 / (1 + math.exp(-1.4))
    chosen = 1 / (1 + math.exp(-2.8))
    by_hand = chosen * (1 - chosen) / (2 * 0.3 * 0.7 * chance * (1 - chance)) / (2 * 0.5)
    assert predicted_gap(law, reward, metric, 0.5) == pytest.approx(by_hand, rel=1e-12)
