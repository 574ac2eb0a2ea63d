"""Rewards outside a class: their size, their direction, and the best in class they leave."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

from theory_check.errors import InvalidArgumentError, UndeclaredTruthError
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima.optimum import Optimum, find_optimum
from theory_check.problems import Problem, bandit, garnet, gridworld, tabular
from theory_check.problems.misspecification import (
    distance_to_span,
    misspecified,
    observation_basis,
    outside_component,
)


def component(problem: Problem, plain: Problem) -> torch.Tensor:
    return (problem.true_reward - plain.true_reward).reshape(-1)


@pytest.mark.parametrize("size", [1e-6, 0.25, 40.0])
@pytest.mark.parametrize("seed", range(3))
def test_size_and_direction_for_linear_rewards(size: float, seed: int) -> None:
    arguments: dict[str, Any] = {"states": 5, "actions": 3, "horizon": 1, "features": 4}
    plain = garnet(**arguments, seed=seed)
    problem = garnet(**arguments, seed=seed, misspecification=size)
    added = component(problem, plain)
    # Subtracting the plain reward, of size 1, costs 1e-16 of it.
    assert added.square().mean().sqrt().item() == pytest.approx(size, rel=1e-12, abs=1e-15)
    rows = plain.features.flatten(0, 1)
    assert (rows.T @ added).abs().max() < 1e-13 * max(size, 1)
    assert added.sum().abs() < 1e-13 * max(size, 1)
    assert distance_to_span(problem.true_reward, rows) == pytest.approx(size, rel=1e-9)
    assert not problem.realisable
    with pytest.raises(UndeclaredTruthError):
        _ = problem.true_parameters


@pytest.mark.slow
def test_size_and_direction_for_functions_of_observations() -> None:
    arguments: dict[str, Any] = {
        "states": 5,
        "actions": 3,
        "horizon": 2,
        "observations": 2,
        "aliases": 2,
        "misspecified_for": "observations",
    }
    plain = garnet(**arguments)
    problem = garnet(**arguments, misspecification=0.7)
    added = component(problem, plain).reshape(5, 3)
    assert added.square().mean().sqrt().item() == pytest.approx(0.7, rel=1e-14)
    # Pairs of states that look alike are pushed apart; a state that looks like no other is left alone.
    torch.testing.assert_close(added[3:], -added[:2], rtol=1e-13, atol=1e-15)
    assert added[2].abs().max() < 1e-15
    basis = observation_basis(problem.observations, 3)
    assert basis.shape == (15, 9)
    assert distance_to_span(plain.true_reward, basis) < 1e-14
    assert distance_to_span(problem.true_reward, basis) == pytest.approx(0.7, rel=1e-12)


def test_every_function_of_observation_and_action_is_in_the_basis() -> None:
    seen = torch.tensor([[1.0, 2.0], [3.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    basis = observation_basis(seen, 2)
    table = torch.stack([seen.sum(1) ** 3, torch.sin(seen[:, 0] * seen[:, 1])], dim=1)
    assert distance_to_span(table, basis) < 1e-14
    assert (
        distance_to_span(torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]).double(), basis) > 0.1
    )


def test_directions_are_uniform_over_the_complement() -> None:
    """Mean of 400 unit directions in 5 dimensions: its squared length times 400 has mean 1.

    It is nearly chi-square with 5 degrees over 5; above 7.5 with probability 5e-7.
    """
    basis = torch.linalg.qr(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)).double())[
        0
    ]
    draws = torch.stack([outside_component(basis, 1.0, seed) for seed in range(400)]) / np.sqrt(8)
    assert torch.allclose(draws.norm(dim=1), torch.ones(400).double())
    assert np.linalg.matrix_rank(draws.numpy(), tol=1e-8) == 5
    assert 400 * draws.mean(0).square().sum().item() < 7.5
    assert torch.equal(draws[3], outside_component(basis, 1.0, 3) / np.sqrt(8))


def test_every_family_takes_it() -> None:
    plain = gridworld(features="observations", misspecified_for="features")
    problem = gridworld(features="observations", misspecification=0.5, misspecification_seed=3)
    assert component(problem, plain).square().mean().sqrt().item() == pytest.approx(0.5, rel=1e-14)
    other = gridworld(features="observations", misspecification=0.5, misspecification_seed=4)
    assert not torch.equal(problem.true_reward, other.true_reward)
    made = tabular(
        transitions=np.full((3, 2, 3), 1 / 3),
        initial=np.full(3, 1 / 3),
        true_reward=np.zeros((3, 2)),
        observations=[[1.0], [0.0], [1.0]],
        horizon=2,
        misspecification=0.5,
        misspecified_for="observations",
    )
    reward = made.true_reward
    torch.testing.assert_close(reward[0], -reward[2])
    assert reward[1].abs().max() < 1e-15
    assert reward.square().mean().sqrt().item() == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"misspecification": 0.1}, "linear class.*every reward.*fewer features"),
        (
            {"misspecification": 0.1, "misspecified_for": "observations", "observations": 3},
            "every state has an observation of its own.*aliases=1",
        ),
        ({"misspecification": float("nan"), "features": 2}, "nan.*at least 0"),
        ({"misspecification": -1.0, "features": 2}, "-1.0"),
        ({"misspecification": float("inf"), "features": 2}, "inf"),
    ],
)
def test_refusals(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"(?s)^misspecification: received .*{text}"):
        garnet(states=4, actions=2, horizon=2, **changes)


def test_features_that_miss_only_the_constants_are_complete() -> None:
    """Comparisons do not see constants, so a class that lacks nothing else lacks nothing."""
    indicators = torch.eye(4, dtype=torch.float64)[:, :3]
    assert outside_component(indicators, 1.0, 0) is None
    with pytest.raises(InvalidArgumentError, match="every reward"):
        misspecified(
            torch.zeros(2, 2, dtype=torch.float64),
            features=indicators.reshape(2, 2, 3),
            observations=torch.eye(2, dtype=torch.float64),
            size=1.0,
            misspecified_for="features",
            seed=0,
        )


PROBLEMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "bandit": (bandit, {"contexts": 4, "actions": 3, "features": 2}),
    "garnet": (garnet, {"states": 3, "actions": 2, "horizon": 2, "features": 2}),
}
# Part of the table of docs/theory.md section 1.6.
DOCUMENTED = {
    ("bandit", "excess_risk"): {0.0: 0.0, 0.1: 0.002424, 1.0: 0.1562},
    ("bandit", "cross_entropy"): {0.1: 0.6518, 1.0: 0.6654},
    ("garnet", "excess_risk"): {0.0: 0.0, 0.1: 0.004006, 1.0: 0.2194},
    ("garnet", "cross_entropy"): {0.1: 0.6499, 1.0: 0.6693},
}


@cache
def best_in_class(name: str, objective: str, delta: float) -> Optimum:
    family, arguments = PROBLEMS[name]
    problem = family(**arguments, objective=objective, misspecification=delta)
    return find_optimum(ExactOracle(problem), starts_per_scale=2)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["excess_risk", "cross_entropy"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_best_in_class_is_certified(name: str, objective: str) -> None:
    for delta, value in DOCUMENTED[name, objective].items():
        best = best_in_class(name, objective, delta)
        assert best.certified
        assert best.gradient_norm <= 1e-7
        assert best.curvature > 1e-2
        assert best.agreeing > 1
        assert best.value == pytest.approx(value, rel=5e-4, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_its_excess_risk_grows_with_the_misspecification(name: str) -> None:
    values = [best_in_class(name, "excess_risk", delta).value for delta in (0.0, 0.1, 1.0)]
    assert values[0] == pytest.approx(0, abs=1e-13)
    assert (np.diff(values) > 1e-3).all()


@pytest.mark.slow
def test_small_misspecifications_cost_their_square() -> None:
    """``Phi* / delta² = c + O(delta)``: from 0.02 to 0.01 it moves 8 times less than from 0.1 to 0.02."""
    costs = [
        best_in_class("bandit", "excess_risk", delta).value / delta**2
        for delta in (0.1, 0.02, 0.01)
    ]
    assert costs[2] > 0.1
    assert abs(costs[2] - costs[1]) < abs(costs[1] - costs[0]) / 4 < costs[1] / 20


def bandit_hyperobjective(problem: Problem, phi: np.ndarray) -> np.ndarray:
    """``Phi`` of a bandit written out for points (n, d): softmax policy, sums over pairs of pairs."""
    contexts, actions = problem.states, problem.actions
    reward = np.einsum("sad,nd->nsa", problem.features.numpy(), phi)
    policy = np.exp((reward - reward.max(-1, keepdims=True)) / problem.kl_weight)
    policy /= policy.sum(-1, keepdims=True)
    law = (policy / contexts).reshape(len(phi), -1)
    flat = reward.reshape(len(phi), contexts * actions)
    true = problem.true_reward.numpy().reshape(-1)
    wins = 1 / (1 + np.exp(true[None, :] - true[:, None]))
    margin = flat[:, :, None] - flat[:, None, :]
    loss = wins * np.logaddexp(0, -margin) + (1 - wins) * np.logaddexp(0, margin)
    if problem.objective == "excess_risk":
        loss = loss + wins * np.log(wins) + (1 - wins) * np.log1p(-wins)
    found: np.ndarray = np.einsum("ni,nij,nj->n", law, loss, law)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["excess_risk", "cross_entropy"])
@pytest.mark.parametrize("features", [1, 2])
def test_the_best_in_class_by_a_dense_grid(features: int, objective: str) -> None:
    """Every cell of a grid over [-12, 12]^d, the lowest one refined by Nelder-Mead."""
    problem = bandit(
        contexts=4,
        actions=3,
        features=features,
        seed=1,
        objective=objective,
        misspecification=0.5,
    )
    axis = np.linspace(-12, 12, 4001 if features == 1 else 161)
    grid = np.stack(np.meshgrid(*[axis] * features), axis=-1).reshape(-1, features)
    values = bandit_hyperobjective(problem, grid)
    refined = optimize.minimize(
        lambda phi: bandit_hyperobjective(problem, phi[None])[0],
        grid[values.argmin()],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-15},
    )
    best = find_optimum(ExactOracle(problem), starts_per_scale=2)
    assert best.certified
    assert best.value == pytest.approx(refined.fun, abs=1e-10)
    assert np.abs(best.phi.numpy()).max() < 12
    np.testing.assert_allclose(best.phi.numpy(), refined.x, atol=1e-5)
    assert best.value > 1e-3
