"""Constants of the quadratic family against differences, and against all starts of one coordinate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from theory_check.oracles.quadratic_constants import (
    growth_constant,
    joint_smoothness,
    penalised_smoothness,
    penalised_value,
    sharp_error_factor,
    sharp_motion_factor,
    span_distance,
    upper_pull,
)
from theory_check.problems import quadratic
from theory_check.problems.quadratic import QuadraticProblem

PROBLEMS = [quadratic(), quadratic(upper=1, lower=2, rank=1), quadratic(upper=3, lower=7, rank=5)]
SIGMA = 0.2


def points(problem: QuadraticProblem, number: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return (
        torch.randn(number, problem.upper_parameters, dtype=torch.float64, generator=generator),
        torch.randn(number, problem.lower_parameters, dtype=torch.float64, generator=generator),
    )


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_penalised_value_by_its_definition(problem: QuadraticProblem) -> None:
    """``f(x, y_sigma) + (g(x, y_sigma) - g*) / sigma``, f written out."""
    x, _ = points(problem)
    minimiser = problem.penalised_minimiser(x, SIGMA)
    miss = minimiser @ problem.directions.T - problem.target
    upper = 0.5 * (miss.square().sum(-1) + 0.1 * x.square().sum(-1))
    direct = upper + problem.lower_gap(x, minimiser) / SIGMA
    np.testing.assert_allclose(penalised_value(problem, x, SIGMA), direct, rtol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_its_derivatives_are_those_of_the_problem(problem: QuadraticProblem) -> None:
    x, _ = points(problem, 1)
    gradient = torch.autograd.functional.jacobian(
        lambda at: penalised_value(problem, at, SIGMA).sum(), x
    )
    np.testing.assert_allclose(gradient, problem.surrogate_gradient(x, SIGMA), rtol=1e-10)
    curvature = torch.autograd.functional.hessian(
        lambda at: penalised_value(problem, at[None], SIGMA).sum(), x[0]
    )
    largest = torch.linalg.eigvalsh(curvature).max().item()
    assert penalised_smoothness(problem, SIGMA) == pytest.approx(largest, rel=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_smoothness_and_growth_are_those_of_the_joint_hessian(problem: QuadraticProblem) -> None:
    x, y = points(problem, 1)
    split = problem.upper_parameters

    def lower(both: Tensor) -> Tensor:
        return problem.lower_gap(both[None, :split], both[None, split:]).sum()

    hessian = torch.autograd.functional.hessian(lower, torch.cat([x[0], y[0]]))
    assert joint_smoothness(problem) == pytest.approx(
        torch.linalg.eigvalsh(hessian).max().item(), rel=1e-12
    )
    eigenvalues = torch.linalg.eigvalsh(hessian[split:, split:])
    positive = eigenvalues[eigenvalues > 1e-9]
    assert len(positive) == len(problem.curvatures)
    assert growth_constant(problem) == pytest.approx(positive.min().item(), rel=1e-9)


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_distances_and_pulls(problem: QuadraticProblem) -> None:
    x, y = points(problem)
    moved = y + (torch.eye(problem.lower_parameters) - problem.directions.T @ problem.directions)[0]
    np.testing.assert_allclose(span_distance(problem, moved, y), 0.0, atol=1e-12)
    _, pull = problem.upper_gradients(x, problem.lower_minimiser(x))
    np.testing.assert_allclose(upper_pull(problem, x), pull.norm(dim=-1), rtol=1e-12)


def test_sharp_factors_are_the_largest_over_starts_of_one_coordinate() -> None:
    """By the recursion itself, from 2000 directions of (e_0, e'_0): the largest is met to 1e-5."""
    problem = PROBLEMS[1]
    (a,), ((m,),) = problem.curvatures.tolist(), problem.response.tolist()
    step, steps = 0.6, 3
    angles = np.linspace(0, 2 * np.pi, 2000)
    error, penalised = np.cos(angles), np.sin(angles)
    for _ in range(steps):
        error = error - step * a * error
        penalised = penalised - step * (a + SIGMA) * penalised
    largest = (m * a * (penalised - error)) ** 2
    factor = sharp_error_factor(problem, SIGMA, steps, step)
    assert largest.max() == pytest.approx(factor, rel=1e-5)
    x, _ = points(problem, 2)
    moved = span_distance(problem, *problem.lower_minimiser(x)[:, None]).square()
    moved = moved + span_distance(problem, *problem.penalised_minimiser(x, SIGMA)[:, None]).square()
    unit = moved / (x[0] - x[1]).square().sum()
    assert sharp_motion_factor(problem, SIGMA) == pytest.approx(unit.item(), rel=1e-9)
