"""Unregularised policy gradient against automatic differentiation and enumerated policies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem

from theory_check.errors import InvalidArgumentError
from theory_check.kernels.policy_gradient import ascend_stationary
from theory_check.measurements.inner_loops import (
    InnerSublinear,
    inverse_smoothness,
    leading_constant,
)
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_optimum
from theory_check.oracles.starts import initial_upper
from theory_check.problems import Problem, bandit, garnet, tabular
from theory_check.recording.recorder import recording_grid


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def discounted_return(problem: Problem, reward: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return ``rho0^T (I - gamma P_pi)^-1 r_pi`` by an explicit inverse."""
    policy = torch.softmax(logits, -1)
    moves = torch.einsum("sa,sat->st", policy, problem.transitions)
    inverse = torch.linalg.inv(torch.eye(problem.states) - problem.discount * moves)
    return problem.initial @ inverse @ (policy * reward).sum(-1)


@pytest.mark.slow
def test_episodic_path() -> None:
    """Returns by enumerated trajectories, gradients by automatic differentiation, ``J*`` as the best
    of all 16 deterministic policies."""
    problem = random_problem(61, (2, 2, 2), discount=0.9)
    tables, seeds = naive.Tables(problem), [3, 8]
    table = InnerSublinear(inner_steps=50, points_per_decade=3).measure(problem, seeds, ignore)
    assert list(table.columns) == ["seed", "inner_iteration", "return_gap", "leading_ratio"]
    step_size = 1 / ((1 + 0.9) * 2.25)
    assert inverse_smoothness(problem) == pytest.approx(step_size)
    choices = itertools.product([1e3, -1e3], repeat=4)
    deterministic = [
        torch.tensor([[c, -c] for c in choice], dtype=torch.float64).reshape(-1)
        for choice in choices
    ]
    for seed, rows in table.groupby("seed"):
        phi = initial_upper([int(seed)], problem.parameters, 1.0)[0]
        reward = naive.reward_table(problem, phi)
        reward = (reward - reward.min()) / (reward.max() - reward.min())

        def value(logits: torch.Tensor, reward: torch.Tensor = reward) -> torch.Tensor:
            return tables.law(tables.log_policy(logits)) @ tables.returns(reward)

        best = max(value(logits).item() for logits in deterministic)
        logits, gaps = torch.zeros(8, dtype=torch.float64), []
        for step in range(1, 51):
            logits = logits + step_size * naive.gradient(value, logits)
            if step in recording_grid(50, 3):
                gaps.append(best - value(logits).item())
        np.testing.assert_allclose(rows.return_gap, gaps, rtol=1e-10)
        assert (np.diff(rows.return_gap) < 0).all()


@pytest.mark.slow
def test_stationary_path() -> None:
    problem = garnet(states=4, actions=3, horizon=None, discount=0.9, seed=2)
    generator = np.random.default_rng(0)
    rewards, logits = generator.random((2, 4, 3)), generator.standard_normal((2, 1, 4, 3))
    found = logits.copy()
    fixed = (problem.transitions.numpy(), problem.initial.numpy(), rewards)
    ascend_stationary(*fixed, found, 0.9, 0.3, 25)
    for replicate in range(2):
        reward = torch.from_numpy(rewards[replicate])
        point = torch.from_numpy(logits[replicate, 0])
        for _ in range(25):
            point = point + 0.3 * naive.gradient(
                lambda z, r=reward: discounted_return(problem, r, z), point
            )
        np.testing.assert_allclose(found[replicate, 0], point, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_step_is_at_most_the_inverse_curvature(seed: int) -> None:
    """Largest Hessian norm over random logits of several scales, rewards in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    if seed < 3:
        problem = random_problem(seed, ((1, 3, 1), (2, 2, 2), (2, 2, 3))[seed], discount=0.8)
    else:
        problem = garnet(
            states=3, actions=2, horizon=None, discount=(0.3, 0.6, 0.9)[seed - 3], seed=seed
        )
    reward = torch.rand(problem.states, problem.actions, generator=generator, dtype=torch.float64)
    rows = problem.steps * problem.states
    tables = None if problem.horizon is None else naive.Tables(problem)

    def value(logits: torch.Tensor) -> torch.Tensor:
        if tables is None:
            return discounted_return(problem, reward, logits.reshape(rows, -1))
        return tables.law(tables.log_policy(logits)) @ tables.returns(reward)

    largest = 0.0
    for scale in (0.0, 0.5, 1.0, 2.0, 4.0):
        logits = scale * torch.randn(
            rows * problem.actions, generator=generator, dtype=torch.float64
        )
        hessian = torch.autograd.functional.hessian(value, logits)
        largest = max(largest, torch.linalg.matrix_norm(hessian, 2).item())
    assert 0 < largest * inverse_smoothness(problem) <= 1


def test_gap_tends_to_its_leading_term() -> None:
    """``(A - 1)/(A alpha k)`` for one context: corrections are of relative order k^(-2/A).

    At k = 2e5 and A = 3 that is 3e-4 times a constant; 1e-2 is far below what the loss of one action
    or context in the count would change.
    """
    problem = bandit(contexts=1, actions=3, seed=4)
    table = InnerSublinear(inner_steps=200_000, points_per_decade=1).measure(
        problem, [0, 1, 2], ignore
    )
    last = table.loc[table.inner_iteration == 200_000]
    np.testing.assert_allclose(last.return_gap, (2 / 3) / (0.8 * 2e5), rtol=1e-2)
    np.testing.assert_allclose(last.leading_ratio, 1.0, rtol=1e-2)


def test_only_rows_that_the_optimal_policy_visits_count() -> None:
    """The better action stays in state 0, so that state 1 is visited as a start only."""
    kernel = np.zeros((2, 2, 2))
    kernel[0, 0, 0] = kernel[0, 1, 1] = kernel[1, 0, 0] = kernel[1, 1, 0] = 1
    problem = tabular(
        transitions=kernel, initial=[0.5, 0.5], true_reward=[[1.0, 0.0], [0.2, 0.1]], horizon=3
    )
    optimum = hard_optimum(control_of(problem), problem.true_reward[None])
    # Steps 0, 1, 2 visit {0, 1}, {0}, {0}: N = 4, A = 2.
    assert leading_constant(optimum).tolist() == [2.0]


def test_a_constant_reward_is_refused() -> None:
    constant = tabular(
        transitions=np.ones((1, 2, 1)),
        initial=[1.0],
        features=np.ones((1, 2, 1)),
        true_reward=np.ones((1, 2)),
        horizon=1,
    )
    with pytest.raises(InvalidArgumentError, match="a constant reward"):
        InnerSublinear(inner_steps=5).measure(constant, [0], ignore)
