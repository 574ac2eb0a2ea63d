"""The penalised hyperobjective against independent minimisation and differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import (
    contract_garnet,
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.references import optimal_logits, tables_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.solutions.newton import damped_solve
from theory_check.problems import Problem

PROBLEMS = [
    random_problem(0, (1, 3, 1)),
    random_problem(1, (2, 2, 2), objective="excess_risk", discount=0.8),
    random_problem(2, (3, 2, 2), sparse=True, features=3),
    contract_garnet("excess_risk"),
    random_discounted_problem(4, (3, 2), sparse=True),
    random_discounted_problem(
        5, (2, 3), discount=0.9, segment_length=2, objective="excess_risk", features=3
    ),
]
CASES = pytest.mark.parametrize("problem", PROBLEMS)
SIGMAS = pytest.mark.parametrize("sigma", [0.3, 0.01])


def independent_minimum(problem: Problem, phi: torch.Tensor, sigma: float) -> float:
    """``Phi_sigma`` of section 3.1 by quasi-Newton runs from several policies."""
    tables = tables_of(problem)
    best = optimal_logits(problem, phi)

    def value_and_gradient(logits: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(logits).requires_grad_()
        value = tables.penalised(phi, leaf, sigma)
        value.backward()
        assert leaf.grad is not None
        return value.item(), leaf.grad.numpy()

    starts = [best.numpy(), problem.reference_policy.log().reshape(-1).numpy()]
    starts += [random_log_policy(0, problem).reshape(-1).numpy()]
    options = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 2000}
    found = [
        optimize.minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
        for start in starts
    ]
    lowest = min(result.fun for result in found)
    return (lowest + tables.lower(phi, best).item()) / sigma


@pytest.mark.slow
@CASES
@SIGMAS
def test_value_is_that_of_an_independent_minimiser(problem: Problem, sigma: float) -> None:
    phi = random_point(1, problem)
    value = ExactOracle(problem).penalised_objective(phi, sigma).item()
    # Values of h_sigma are known to about 1e-13, and are divided by sigma.
    assert value == pytest.approx(independent_minimum(problem, phi, sigma), abs=1e-12 / sigma)


@pytest.mark.slow
@CASES
@SIGMAS
def test_inner_gradient_vanishes(problem: Problem, sigma: float) -> None:
    phi = random_point(2, problem)
    log_policy = ExactOracle(problem).penalised_policy(phi, sigma)
    tables = tables_of(problem)
    gradient = naive.gradient(lambda z: tables.penalised(phi, z, sigma), log_policy.reshape(-1))
    # 1e-11 is promised; summing a few hundred terms of order one in another order adds rounding.
    assert gradient.norm() <= 1e-11 + 1e-14


@pytest.mark.slow
@CASES
@SIGMAS
def test_gradient_against_central_differences(problem: Problem, sigma: float) -> None:
    oracle, phi = ExactOracle(problem), random_point(3, problem)
    # Rounding in Phi_sigma is about 1e-16 / h; truncation h^2: both near 1e-11 and 1e-10 at 1e-5.
    step = 1e-5 * torch.eye(problem.parameters, dtype=torch.float64)
    values = oracle.penalised_objective(torch.stack([phi + step, phi - step]), sigma)
    differences = (values[0] - values[1]) / 2e-5
    error = oracle.penalised_gradient(phi, sigma) - differences
    assert error.norm() <= 1e-6 * differences.norm()


@pytest.mark.every_case
@CASES
def test_hessian_and_value_of_the_penalised_level(problem: Problem) -> None:
    phi, sigma = random_point(4, problem), 0.4
    log_policy = random_log_policy(4, problem)
    tables = tables_of(problem)
    level = ExactOracle(problem).penalised_level(naive.reward_table(problem, phi)[None], sigma)

    def objective(logits: torch.Tensor) -> torch.Tensor:
        return tables.penalised(phi, logits, sigma)

    flat = log_policy.reshape(-1)
    best = optimal_logits(problem, phi)
    expected = objective(flat) + tables.lower(phi, best)
    assert level.value(log_policy[None]).item() == pytest.approx(expected.item(), rel=1e-12)
    gradient = level.gradient(log_policy[None]).reshape(-1)
    assert (gradient - naive.gradient(objective, flat)).abs().max() < 1e-13
    hessian = torch.autograd.functional.hessian(objective, flat)
    assert (level.hessian(log_policy[None])[0] - hessian).abs().max() < 1e-12


@pytest.mark.slow
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    sigma=st.floats(1e-3, 0.3),
    objective=st.sampled_from(["cross_entropy", "excess_risk"]),
)
def test_penalised_value_never_exceeds_the_hyperobjective(
    seed: int, sigma: float, objective: str
) -> None:
    # lambda* is feasible in min_lambda G + gap / sigma and has gap 0 (section 3.1).
    problem = random_problem(seed, (2, 2, 2), objective=objective)
    oracle, phi = ExactOracle(problem), random_point(seed, problem, 3)
    value = oracle.hyperobjective(phi)
    penalised = oracle.penalised_objective(phi, sigma)
    assert (penalised <= value + 1e-13).all()
    # A larger sigma relaxes the constraint, so the value can only fall.
    assert (penalised <= oracle.penalised_objective(phi, sigma / 2) + 1e-13).all()


def test_bias_is_half_sigma_times_the_quadratic_form() -> None:
    # Section 3.3: (Phi - Phi_sigma) / sigma -> q / 2 with an error linear in sigma.
    problem = random_problem(6, (2, 2, 2), discount=0.9)
    oracle, phi = ExactOracle(problem), random_point(6, problem)
    tables = tables_of(problem)
    best = optimal_logits(problem, phi)
    pull = naive.gradient(lambda z: tables.upper(phi, z), best)
    hessian = torch.autograd.functional.hessian(lambda z: -tables.lower(phi, z), best)
    q = pull @ torch.linalg.pinv(hessian, atol=1e-12, rtol=0.0, hermitian=True) @ pull
    ratios = [
        ((oracle.hyperobjective(phi) - oracle.penalised_objective(phi, s)) / (s * q / 2)).item()
        for s in (1e-2, 1e-3)
    ]
    assert abs(ratios[1] - 1) < 0.02
    assert (1 - ratios[0]) / (1 - ratios[1]) == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize("sigma", [-0.3, -0.01])
def test_a_negative_sigma_has_the_gradient_of_its_objective(sigma: float) -> None:
    """Central differences of the objective, whose error is 1e-6 of its third derivative."""
    problem = PROBLEMS[0]
    oracle, phi = ExactOracle(problem), random_point(0, problem)
    found = oracle.penalised_gradient(phi, sigma)
    for entry in range(phi.shape[-1]):
        step = torch.zeros_like(phi)
        step[..., entry] = 1e-3
        above, below = (oracle.penalised_objective(phi + side * step, sigma) for side in (1, -1))
        slope = (above - below).item() / 2e-3
        assert slope == pytest.approx(found[..., entry].item(), rel=1e-5, abs=1e-6)
    # sigma G - J is least at the solution among policies near it.
    reward = oracle.reward_model.table(phi.reshape(1, -1))
    solution = oracle.solve_penalised(reward, sigma).log_policy
    best = oracle.control.optimal_log_policy(reward)

    def level(log_policy: torch.Tensor) -> float:
        gap = oracle.control.lower_gap(log_policy, best)
        return (sigma * oracle.evaluate_upper(reward, log_policy).value + gap).item()

    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        noise = 0.01 * torch.randn(solution.shape, dtype=torch.float64, generator=generator)
        assert level(torch.log_softmax(solution + noise, -1)) > level(solution)


@pytest.mark.parametrize("sigma", [0.0, float("nan"), float("inf")])
def test_sigma_is_refused(sigma: float) -> None:
    problem = PROBLEMS[0]
    with pytest.raises(InvalidArgumentError, match="sigma"):
        ExactOracle(problem).penalised_gradient(random_point(0, problem), sigma)


def test_an_overflowed_replicate_neither_hangs_nor_spoils_the_others() -> None:
    problem = PROBLEMS[1]
    oracle = ExactOracle(problem)
    sound = random_point(1, problem, 1)
    broken = torch.cat([torch.full_like(sound, torch.nan), sound])
    solution = oracle.solve_penalised(oracle.reward_model.table(broken), 0.1)
    assert solution.certified.tolist() == [False, True]
    alone = oracle.penalised_policy(sound, 0.1)
    assert (solution.log_policy[1:] - alone).abs().max() < 1e-10
    with pytest.raises(InvalidArgumentError, match="nan among its entries"):
        oracle.penalised_gradient(broken, 0.1)


def test_a_hessian_that_is_not_finite_off_its_diagonal_ends_the_damping() -> None:
    hessian = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    hessian[0, 0, 1] = hessian[0, 1, 0] = torch.nan
    damping = torch.full((2,), 1e-12, dtype=torch.float64)
    solved = damped_solve(hessian, torch.ones(2, 3, dtype=torch.float64), damping)
    torch.testing.assert_close(solved[1], torch.ones(3, dtype=torch.float64))
