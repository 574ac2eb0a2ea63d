"""Gradients of the plain return against automatic differentiation, and what they imply about gaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theory_check.measurements.inner_curves import unit_rewards
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_optimum, hard_return
from theory_check.oracles.control.hard_geometry import hard_geometry
from theory_check.problems import Problem, bandit, garnet

PROBLEMS = [
    bandit(contexts=3, actions=4, seed=2),
    garnet(states=4, actions=3, horizon=3, features=5, seed=1),
    garnet(states=4, actions=2, horizon=None, discount=0.8, features=4, seed=3),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_gradient_and_gap_by_another_way(problem: Problem) -> None:
    control, reward = control_of(problem), unit_rewards(problem, range(6))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, *control.policy_shape, dtype=torch.float64, generator=generator)
    optimum = hard_optimum(control, reward)
    found = hard_geometry(optimum, reward, torch.log_softmax(logits, -1))
    returns = hard_return(control, reward, torch.log_softmax(logits, -1))
    np.testing.assert_allclose(found.gap, optimum.optimal_return - returns, atol=1e-12)
    # Central differences of returns err by 1e-16/1e-5 and by 1e-10: far below 1e-8.
    difference = torch.empty_like(logits.flatten(1))
    for entry, direction in enumerate(torch.eye(difference.shape[1], dtype=torch.float64)):
        shift = 1e-5 * direction.reshape(logits.shape[1:])
        ahead, behind = (
            hard_return(control, reward, torch.log_softmax(logits + sign * shift, -1))
            for sign in (1, -1)
        )
        difference[:, entry] = (ahead - behind) / 2e-5
    np.testing.assert_allclose(found.gradient_norm, difference.norm(dim=-1), rtol=1e-7)
    assert (found.gap <= found.constant * found.gradient_norm * (1 + 1e-12)).all()
    assert (found.constant <= found.paper_constant * (1 + 1e-12)).all()


def test_two_actions_lose_the_root_of_two_and_no_more() -> None:
    """``‖∇J‖ = sqrt(2) pi(a*) gap`` there, since both entries have one size: half of it is wrong."""
    problem = bandit(contexts=1, actions=2, features=2)
    control, reward = control_of(problem), unit_rewards(problem, range(8))
    logits = torch.randn(
        8, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    found = hard_geometry(hard_optimum(control, reward), reward, torch.log_softmax(logits, -1))
    ratio = found.constant * found.gradient_norm / found.gap
    np.testing.assert_allclose(ratio, 2**0.5, rtol=1e-12)
    np.testing.assert_allclose(found.constant, found.paper_constant, rtol=1e-12)
