"""Sums over trajectories: products with dense matrices against sums by index, and both by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from helpers.generators import random_problem
from torch import Tensor

from theory_check.oracles.comparisons.trajectories import TrajectorySpace, enumerate_trajectories

SIZES = (3, 2, 3)
"""States, actions and horizon; discounted, so that no two steps weigh the same."""
PROBLEM = random_problem(61, SIZES, discount=0.8)
REPLICATES = 2


@pytest.fixture(scope="module")
def space() -> TrajectorySpace:
    found = enumerate_trajectories(PROBLEM)
    # Otherwise both calls of a test would take the same branch.
    assert found._small
    return found


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def by_both(
    space: TrajectorySpace, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return what ``call`` gives with dense matrices, and what by index."""
    taken = []

    def branch(dense: bool) -> property:
        return property(lambda self: taken.append(dense) or dense)

    results = []
    for dense in (True, False):
        monkeypatch.setattr(TrajectorySpace, "_small", branch(dense))
        results.append(call())
    assert taken[0]
    assert taken[1:]
    assert not any(taken[1:])
    return results[0], results[1]


def test_returns(space: TrajectorySpace, monkeypatch: pytest.MonkeyPatch) -> None:
    states, actions, horizon = SIZES
    reward = random(REPLICATES, states, actions)
    dense, indexed = by_both(space, monkeypatch, lambda: space.returns(reward))
    torch.testing.assert_close(dense, indexed, rtol=1e-13, atol=1e-13)
    expected = [
        [
            sum(
                0.8**h * reward[b, space.states[tau, h], space.actions[tau, h]].item()
                for h in range(horizon)
            )
            for tau in range(space.size)
        ]
        for b in range(REPLICATES)
    ]
    np.testing.assert_allclose(dense, expected, rtol=1e-12, atol=1e-12)


def test_to_reward_table(space: TrajectorySpace, monkeypatch: pytest.MonkeyPatch) -> None:
    states, actions, horizon = SIZES
    weights = random(REPLICATES, space.size)
    dense, indexed = by_both(
        space, monkeypatch, lambda: space.to_reward_table(weights, (states, actions))
    )
    torch.testing.assert_close(dense, indexed, rtol=1e-13, atol=1e-13)
    expected = np.zeros((REPLICATES, states, actions))
    for b, tau, h in product(range(REPLICATES), range(space.size), range(horizon)):
        place = space.states[tau, h].item(), space.actions[tau, h].item()
        expected[(b, *place)] += 0.8**h * weights[b, tau].item()
    np.testing.assert_allclose(dense, expected, rtol=1e-12, atol=1e-12)


def test_reward_to_go_score(space: TrajectorySpace, monkeypatch: pytest.MonkeyPatch) -> None:
    states, actions, horizon = SIZES
    reward, weights = random(REPLICATES, horizon, states, actions), random(REPLICATES, space.size)
    dense, indexed = by_both(space, monkeypatch, lambda: space.reward_to_go_score(reward, weights))
    torch.testing.assert_close(dense, indexed, rtol=1e-13, atol=1e-13)
    expected = np.zeros((REPLICATES, horizon, states, actions))
    for b, tau in product(range(REPLICATES), range(space.size)):
        taken = list(zip(space.states[tau].tolist(), space.actions[tau].tolist(), strict=True))
        to_go = 0.0
        for h, place in reversed(list(enumerate(taken))):
            to_go += 0.8**h * reward[(b, h, *place)].item()
            expected[(b, h, *place)] += weights[b, tau].item() * to_go
    np.testing.assert_allclose(dense, expected, rtol=1e-12, atol=1e-12)


def test_policy_tables_and_sums_along(
    space: TrajectorySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, actions, horizon = SIZES
    table, weights = random(REPLICATES, horizon, states, actions), random(REPLICATES, space.size)
    shape = (horizon, states, actions)
    for call in (
        lambda: space.sum_along(table),
        lambda: space.to_policy_table(weights, shape),
    ):
        dense, indexed = by_both(space, monkeypatch, call)
        torch.testing.assert_close(dense, indexed, rtol=1e-13, atol=1e-13)
