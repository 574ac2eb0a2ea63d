"""The gradient of the lower level, its lower bounds, and what they are made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem

from theory_check.oracles.control import control_of
from theory_check.oracles.control.lower_geometry import (
    LowerGeometry,
    decided_states,
    lower_geometry,
    policy_gradient,
)
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem, bandit, garnet, tabular


def discounted(seed: int, discount: float = 0.9, states: int = 4) -> Problem:
    return garnet(states=states, actions=3, horizon=None, discount=discount, seed=seed)


def geometry(control: SoftControl, reward: torch.Tensor, logits: torch.Tensor) -> LowerGeometry:
    optimal = control.optimal_log_policy(reward)
    return lower_geometry(control, reward, torch.log_softmax(logits, -1), optimal)


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("seed", "size"), [(0, (1, 4, 1)), (1, (2, 2, 2)), (2, (3, 2, 3)), (3, (2, 3, 3))]
)
def test_episodic_gradient_is_that_of_the_sum_over_trajectories(
    seed: int, size: tuple[int, int, int]
) -> None:
    """Automatic differentiation of an enumeration, rounding 1e-15 of a value of order 1."""
    problem = random_problem(seed, size, discount=0.8)
    tables, phi = naive.Tables(problem), normal(seed, problem.parameters)
    logits = normal(seed + 10, problem.steps, problem.states, problem.actions)
    expected = naive.gradient(lambda z: tables.lower(phi, z), logits.reshape(-1))
    control = control_of(problem)
    optimal = control.optimal_log_policy(naive.reward_table(problem, phi)[None])
    found = policy_gradient(control, torch.log_softmax(logits, -1)[None], optimal)
    np.testing.assert_allclose(found[0].reshape(-1), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_discounted_gradient_is_that_of_a_power_series(seed: int) -> None:
    """``J`` as the sum over 400 steps of exact state laws; the rest is below 0.9^400 = 5e-19."""
    problem = discounted(seed)
    reward, logits = normal(seed, 4, 3), normal(seed + 10, 1, 4, 3).requires_grad_()
    log_policy = torch.log_softmax(logits, -1)[0]
    regularised = reward - problem.kl_weight * (log_policy - problem.reference_policy[0].log())
    law, value = problem.initial, torch.zeros((), dtype=torch.float64)
    for step in range(400):
        joint = law[:, None] * log_policy.exp()
        value = value + problem.discount**step * (joint * regularised).sum()
        law = torch.einsum("sa,sat->t", joint, problem.transitions)
    (expected,) = torch.autograd.grad(value, logits)
    control = control_of(problem)
    optimal = control.optimal_log_policy(reward[None])
    found = policy_gradient(control, log_policy[None, None].detach(), optimal)
    np.testing.assert_allclose(found[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("problem", [discounted(5), random_problem(5, (3, 2, 3))])
def test_gradient_is_resolved_next_to_the_optimum(problem: Problem) -> None:
    """It is linear in a small displacement, relative 1e-4 from the second order and from rounding.

    At a displacement of 1e-10 the gap is 1e-20: a difference of values would be rounding alone.
    """
    control = control_of(problem)
    reward = normal(3, 1, problem.states, problem.actions)
    optimal = control.optimal_log_policy(reward)
    direction = normal(4, *optimal.shape)
    found = [
        policy_gradient(control, torch.log_softmax(optimal + size * direction, -1), optimal) / size
        for size in (1e-5, 1e-10)
    ]
    assert (found[0] - found[1]).norm() < 1e-4 * found[0].norm()


def test_constants_on_a_bandit_by_hand() -> None:
    """``w = mu`` for every policy, so the mismatch is 1; the lemma's constant is ``sqrt(S)`` smaller."""
    problem = bandit(contexts=4, actions=3, kl_weight=0.5, seed=1)
    found = geometry(control_of(problem), normal(0, 1, 4, 3), normal(1, 1, 1, 4, 3))
    smallest = torch.softmax(normal(1, 4, 3), -1).min().item()
    assert found.constant.item() == pytest.approx((2 * 0.5 * 0.25) ** 0.5 * smallest)
    assert found.paper_constant.item() == pytest.approx(found.constant.item() / 2)


def test_constants_of_a_discounted_problem_entry_by_entry() -> None:
    """Occupancies by 2000 steps of the chain: 0.9^2000 is 0 in double precision."""
    problem = discounted(7)
    control, reward, logits = control_of(problem), normal(0, 1, 4, 3), normal(1, 1, 1, 4, 3)
    optimal = control.optimal_log_policy(reward)

    def visits(log_policy: torch.Tensor) -> torch.Tensor:
        moves = torch.einsum("sa,sat->st", log_policy.exp(), problem.transitions)
        law, total = problem.initial, torch.zeros_like(problem.initial)
        for step in range(2000):
            total, law = total + problem.discount**step * law, law @ moves
        return total

    log_policy = torch.log_softmax(logits, -1)
    here, best = visits(log_policy[0, 0]), visits(optimal[0, 0])
    spread = log_policy.exp().min() / (best / here).max().sqrt()
    found = geometry(control, reward, logits)
    expected = (2 * problem.kl_weight * here.min()).sqrt() * spread
    lemma = (2 * problem.kl_weight / 4 * problem.initial.min()).sqrt() * spread
    assert found.constant.item() == pytest.approx(expected.item(), rel=1e-10)
    assert found.paper_constant.item() == pytest.approx(lemma.item(), rel=1e-10)
    # The derived constant is the larger one: by sqrt(S) and because w >= mu.
    assert found.constant.item() >= 2 * found.paper_constant.item()


def test_one_state_and_two_actions_are_nearly_sharp() -> None:
    """Near a uniform optimum the ratio is sqrt(2) (section 5.4); twice the constant is too large."""
    problem = bandit(contexts=1, actions=2, kl_weight=0.7)
    control, reward = control_of(problem), torch.zeros(1, 1, 2, dtype=torch.float64)
    found = geometry(control, reward, torch.tensor([[[[1e-3, 0.0]]]], dtype=torch.float64))
    assert found.ratio.item() == pytest.approx(2**0.5, rel=1e-3)
    assert bool(found.resolved)
    doubled = dataclasses.replace(found, constant=2 * found.constant)
    assert doubled.ratio.item() < 1


@pytest.mark.parametrize("seed", range(12))
def test_inequality_on_random_problems(seed: int) -> None:
    """512 policies each, deterministic statement: sizes, sparse kernels, references that depend on h."""
    size = ((1, 4, 1), (2, 2, 2), (3, 2, 3), (4, 3, 2))[seed % 4]
    problem = random_problem(seed, size, discount=0.7, sparse=seed % 2 == 0)
    if seed >= 8:
        problem = discounted(seed, discount=(0.5, 0.95)[seed % 2], states=5)
    shape = (512, problem.steps, problem.states, problem.actions)
    scale = 10.0 ** torch.linspace(-2, 1, 512, dtype=torch.float64)[:, None, None, None]
    reward = normal(seed, 512, problem.states, problem.actions)
    found = geometry(control_of(problem), reward, scale * normal(seed + 1, *shape))
    assert int(found.resolved.sum()) > 500
    assert found.ratio[found.resolved].min() >= 1
    assert bool((found.ratio <= found.paper_ratio * (1 + 1e-12)).all())


def test_rows_that_are_never_reached_do_not_count() -> None:
    """State 1 leads to 2 and is never a start; nothing leads to 3."""
    kernel = np.zeros((4, 2, 4))
    kernel[0, :, 1] = kernel[1, :, 2] = kernel[2, :, 2] = kernel[3, :, 3] = 1
    arguments = {"transitions": kernel, "initial": [1, 0, 0, 0], "true_reward": np.ones((4, 2))}
    episodic = tabular(horizon=3, **arguments)  # type: ignore[arg-type]
    endless = tabular(horizon=None, discount=0.5, **arguments)  # type: ignore[arg-type]
    assert decided_states(control_of(episodic)).tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
    ]
    assert decided_states(control_of(endless)).tolist() == [[True, True, True, False]]
    found = geometry(control_of(endless), normal(0, 1, 4, 2), normal(1, 1, 1, 4, 2))
    assert 1 <= found.ratio.item() < torch.inf
    # The start law leaves out state 1, so the analogue of the lemma's constant counts visits.
    assert found.paper_constant.item() == pytest.approx(found.constant.item() / 3**0.5)


def test_what_rounding_may_decide_is_marked() -> None:
    problem = bandit(contexts=1, actions=2)
    control, reward = control_of(problem), torch.zeros(3, 1, 2, dtype=torch.float64)
    # Gaps of about x²/8: the threshold for these sizes is near 1e-21.
    size = torch.tensor([1e-3, 1e-9, 1e-13], dtype=torch.float64)
    logits = torch.stack([size, torch.zeros_like(size)], -1)[:, None, None]
    assert geometry(control, reward, logits).resolved.tolist() == [True, True, False]
    steep = torch.tensor([[[[0.0, -700.0]]]], dtype=torch.float64)
    assert not bool(geometry(control, reward[:1], steep).resolved)
