"""The hyperobjective for automatic differentiation, and somebody's gradient beside the exact one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.generators import random_problem

import theory_check as tc
from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle

PROBLEM = random_problem(5, (3, 2, 2), features=3, realisable=False)
DISCOUNTED = random_problem(6, (3, 2, 2), features=3, discount=0.8)


@pytest.mark.parametrize("problem", [PROBLEM, DISCOUNTED], ids=["episodic", "discounted"])
def test_torch_differentiates_it_by_the_exact_hypergradient(problem: Any) -> None:
    """Against torch's own differences, whose error is of order 1e-6 squared over 1e-6."""
    function = ExactOracle(problem).as_function()
    phi = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(function, phi.requires_grad_(), atol=1e-6)
    weights = torch.tensor([1.0, -2.0, 0.0, 3.0], dtype=torch.float64)
    (weights * function(phi)).sum().backward()
    expected = weights[:, None] * ExactOracle(problem).hypergradient(phi)
    torch.testing.assert_close(phi.grad, expected, rtol=1e-14, atol=0)


@pytest.mark.slow
def test_a_torch_optimiser_descends_to_a_stationary_point() -> None:
    oracle = ExactOracle(PROBLEM)
    phi = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [phi], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = oracle.as_function()(phi)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    assert (
        oracle.hypergradient(phi).norm() < 1e-6 * oracle.hypergradient(torch.zeros_like(phi)).norm()
    )


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    phi = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(ExactOracle(PROBLEM).as_function()(phi), phi, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        first.sum().backward()


def test_an_estimate_is_judged_by_how_far_it_is() -> None:
    oracle = ExactOracle(PROBLEM)
    right = tc.check_hypergradient(PROBLEM, oracle.hypergradient)
    assert right.relative_error.max() < 1e-12
    assert right.cosine.min() == pytest.approx(1)
    assert right.points.shape == (8, 3)
    doubled = tc.check_hypergradient(PROBLEM, lambda phi: (2 * oracle.hypergradient(phi)).tolist())
    torch.testing.assert_close(doubled.relative_error, torch.ones(8, dtype=torch.float64))
    assert str(doubled) == ("8 points: relative error 1 to 1, median 1; cosine 1.0000 to 1.0000")


def test_a_penalty_is_off_by_order_sigma_and_a_missing_response_by_order_one() -> None:
    oracle = ExactOracle(PROBLEM)

    def without_response(phi: torch.Tensor) -> torch.Tensor:
        reward = oracle.reward_model.table(phi[None])
        policy = oracle.control.optimal_log_policy(reward)
        return oracle.reward_model.pullback(
            phi[None], oracle.evaluate_upper(reward, policy).reward_gradient
        )[0]

    errors = [
        float(
            tc.check_hypergradient(
                PROBLEM, lambda phi, sigma=sigma: oracle.penalised_gradient(phi, sigma)
            ).relative_error.max()
        )
        for sigma in (0.02, 0.01)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[0] < 0.2
    found = tc.check_hypergradient(PROBLEM, without_response, seed=3)
    assert found.relative_error.median() > 10 * errors[1]
    assert found.cosine.min() < 0.99


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (lambda phi: phi[:2], r"estimate: received shape \(2,\); return 3 finite numbers"),
        (lambda phi: phi * float("nan"), "estimate: received entries that are not finite"),
        (lambda phi: None, "estimate: received NoneType"),
    ],
)
def test_what_is_no_gradient_is_refused(estimate: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        tc.check_hypergradient(PROBLEM, estimate)


def test_points_have_to_fit() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^points: received shape \(3,\)"):
        tc.check_hypergradient(PROBLEM, lambda phi: phi, points=[1.0, 2.0, 3.0])
