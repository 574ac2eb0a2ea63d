"""Unregularised optima: against enumeration of policies, value iteration, and differences of returns."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from helpers.generators import random_problem
from torch import Tensor

from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import (
    hard_gap,
    hard_optimum,
    hard_return,
    optimal_return,
    optimal_values,
)
from theory_check.problems import Problem, garnet, tabular


def discounted(seed: int, states: int = 4, actions: int = 3, discount: float = 0.9) -> Problem:
    return garnet(
        states=states, actions=actions, horizon=None, discount=discount, branching=2, seed=seed
    )


def random_rewards(seed: int, problem: Problem, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, problem.states, problem.actions)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_policies(seed: int, problem: Problem, count: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, problem.steps, problem.states, problem.actions)
    noise = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    return noise.log_softmax(-1)


def expanded_returns(problem: Problem, steps: list[np.ndarray]) -> float:
    """Return of a deterministic non-stationary policy by pushing the law of states forward."""
    kernel, reward = problem.transitions.numpy(), problem.true_reward.numpy()
    law, total, weight = problem.initial.numpy(), 0.0, 1.0
    states = np.arange(problem.states)
    for chosen in steps:
        total += weight * float(law @ reward[states, chosen])
        law = law @ kernel[states, chosen]
        weight *= problem.discount
    return total


@pytest.mark.parametrize("size", [(2, 2, 1), (2, 2, 3), (3, 2, 2), (2, 3, 2)])
@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_episodic_optimum_by_enumeration_of_policies(
    size: tuple[int, int, int], discount: float
) -> None:
    states, actions, horizon = size
    problem = random_problem(3, size, discount=discount)
    rules = [np.array(rule) for rule in itertools.product(range(actions), repeat=states)]
    best = max(
        expanded_returns(problem, list(steps)) for steps in itertools.product(rules, repeat=horizon)
    )
    assert optimal_return(problem) == pytest.approx(best, abs=1e-13)
    assert optimal_values(problem).shape == (horizon, states)


@pytest.mark.parametrize("seed", range(3))
def test_discounted_optimum_by_enumeration_of_policies(seed: int) -> None:
    problem = discounted(seed)
    kernel, reward = problem.transitions.numpy(), problem.true_reward.numpy()
    states = np.arange(problem.states)
    values = [
        np.linalg.solve(
            np.eye(problem.states) - problem.discount * kernel[states, list(rule)],
            reward[states, list(rule)],
        )
        for rule in itertools.product(range(problem.actions), repeat=problem.states)
    ]
    # One stationary policy is best from every state at once.
    np.testing.assert_allclose(
        optimal_values(problem)[0].numpy(), np.max(values, axis=0), rtol=1e-13
    )


@pytest.mark.parametrize("discount", [0.5, 0.95, 0.999])
def test_discounted_optimum_satisfies_the_optimality_equation(discount: float) -> None:
    """A fixed point of a contraction is its only one, whatever found it."""
    problem = discounted(1, states=30, actions=4, discount=discount)
    value = optimal_values(problem)[0].numpy()
    backed_up = (problem.true_reward.numpy() + discount * problem.transitions.numpy() @ value).max(
        1
    )
    np.testing.assert_allclose(backed_up, value, rtol=1e-12)


@pytest.mark.parametrize("problem", [random_problem(5, (4, 3, 3), discount=0.8), discounted(5)])
def test_the_gap_is_the_difference_of_returns(problem: Problem) -> None:
    control = control_of(problem)
    reward = random_rewards(0, problem, 16)
    log_policy = random_policies(1, problem, 16)
    optimum = hard_optimum(control, reward)
    difference = optimum.optimal_return - hard_return(control, reward, log_policy)
    assert (difference > 0.01).all()
    torch.testing.assert_close(optimum.gap(log_policy), difference, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(hard_gap(control, reward, log_policy), optimum.gap(log_policy))
    assert (optimum.suboptimality >= 0).all()


@pytest.mark.parametrize("problem", [random_problem(5, (4, 3, 3), discount=0.8), discounted(5)])
def test_gaps_below_the_rounding_of_returns_are_resolved(problem: Problem) -> None:
    """One state deviates with probability p: the gap is p times a constant down to p = 1e-30.

    Going from p to p/10 divides it by ten up to relative error p, and rounding of ``V* - Q*``.
    """
    control = control_of(problem)
    reward = problem.true_reward[None]
    optimum = hard_optimum(control, reward)
    best = torch.nn.functional.one_hot(optimum.action_values.argmax(-1), problem.actions).bool()
    gaps = []
    for exponent in range(3, 31):
        slight = torch.full_like(optimum.action_values, 10.0**-exponent / (problem.actions - 1))
        law = torch.where(best, torch.ones_like(slight) - 10.0**-exponent, slight)
        gaps.append(optimum.gap(law.log()).item())
    ratios = np.array(gaps[:-1]) / np.array(gaps[1:])
    np.testing.assert_allclose(ratios, 10, rtol=0.05)
    np.testing.assert_allclose(ratios[7:], 10, rtol=1e-8)
    assert gaps[-1] > 0


def test_an_optimal_policy_has_no_gap() -> None:
    problem = discounted(2)
    control, reward = control_of(problem), problem.true_reward[None]
    optimum = hard_optimum(control, reward)
    greedy = optimum.action_values.argmax(-1)
    log_policy = torch.full_like(optimum.action_values, -torch.inf)
    log_policy = log_policy.scatter(-1, greedy[..., None], 0.0)
    assert optimum.gap(log_policy).item() == 0


def test_tied_actions_end_the_iteration() -> None:
    """A reward without actions: everything is optimal, and nothing may be exchanged for ever."""
    problem = tabular(
        transitions=np.full((3, 2, 3), 1 / 3),
        initial=np.full(3, 1 / 3),
        true_reward=np.array([[1 / 3, 1 / 3], [0.1, 0.1], [-0.7, -0.7]]),
        horizon=None,
        discount=0.99,
    )
    optimum = hard_optimum(control_of(problem), problem.true_reward[None])
    assert optimum.gap(random_policies(0, problem, 1)).item() < 1e-12
    mean = (1 / 3 + 0.1 - 0.7) / 3
    assert optimal_return(problem) == pytest.approx(mean / 0.01, rel=1e-10)


def test_a_replicate_alone_equals_the_same_replicate_in_a_batch() -> None:
    problem = discounted(4)
    control = control_of(problem)
    reward, log_policy = random_rewards(2, problem, 5), random_policies(3, problem, 5)
    together = hard_gap(control, reward, log_policy)
    for row in range(5):
        alone = hard_gap(control, reward[row : row + 1], log_policy[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-12, atol=0)


@pytest.mark.parametrize("problem", [random_problem(6, (3, 3, 2)), discounted(6)])
def test_the_soft_optimum_is_within_the_entropy_bound(problem: Problem) -> None:
    """``V*_0 - beta log(1 / min pi_ref) sum gamma^h <= V*_beta <= V*_0``."""
    control, reward = control_of(problem), random_rewards(7, problem, 8)
    log_policy = control.optimal_log_policy(reward)
    soft = control.lower_objective(reward, log_policy)
    hard = hard_optimum(control, reward).optimal_return
    steps = (
        1 / (1 - problem.discount)
        if problem.horizon is None
        else sum(problem.discount**step for step in range(problem.horizon))
    )
    room = problem.kl_weight * float(-problem.reference_policy.min().log()) * steps
    assert (soft < hard).all()
    assert (soft > hard - room).all()
