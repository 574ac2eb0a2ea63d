"""The Hessian of the penalised hyperobjective against second differences of its values."""

from __future__ import annotations

import pytest
import torch
from helpers.generators import random_problem

from theory_check.measurements.penalty import PenaltySmoothness, random_points
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima.penalised_curvature import penalised_hessian
from theory_check.oracles.solutions.curvature import DIFFERENCE_STEP

PROBLEM = random_problem(53, (2, 2, 2), discount=0.9, features=3)


def second_differences(oracle: ExactOracle, phi: torch.Tensor, sigma: float) -> torch.Tensor:
    """Hessian from values only, two steps extrapolated so that their step² errors cancel.

    What is left is of order step⁴, below 1e-6 here, and rounding of the values, 1e-15, over step²:
    1e-10.
    """
    short, long = (_plain_differences(oracle, phi, sigma, step) for step in (5e-3, 1e-2))
    return (4 * short - long) / 3


def _plain_differences(
    oracle: ExactOracle, phi: torch.Tensor, sigma: float, step: float
) -> torch.Tensor:
    size = phi.numel()
    shift = step * torch.eye(size, dtype=torch.float64)
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    corners = torch.stack(
        [
            phi + first * shift[i] + second * shift[j]
            for i in range(size)
            for j in range(size)
            for first, second in signs
        ]
    )
    value = oracle.penalised_objective(corners, sigma).reshape(size, size, 4)
    return (value[..., 0] - value[..., 1] - value[..., 2] + value[..., 3]) / (4 * step**2)


@pytest.mark.every_case
@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.2, 0.001])
def test_hessian_agrees_with_second_differences_of_values(sigma: float) -> None:
    oracle = ExactOracle(PROBLEM)
    phi = random_points([5], 2, PROBLEM.parameters, 0.7)[0]
    hessian = penalised_hessian(oracle, phi, sigma)
    for point, found in zip(phi, hessian, strict=True):
        expected = second_differences(oracle, point, sigma)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_step_is_neither_too_long_nor_too_short() -> None:
    """A step twice as long moves the Hessian by less than 1e-5, at the smallest sigma used."""
    oracle = ExactOracle(PROBLEM)
    phi = random_points([6], 4, PROBLEM.parameters, 1.0)[0]
    short = penalised_hessian(oracle, phi, 1e-3)
    long = penalised_hessian(oracle, phi, 1e-3, step=2 * DIFFERENCE_STEP)
    assert (short - long).abs().max() < 1e-5


@pytest.mark.slow
def test_rows_are_the_largest_norm_of_each_seed() -> None:
    calls = []
    table = PenaltySmoothness(sigmas=(0.1, 0.01), points=3, point_scale=0.5).measure(
        PROBLEM, [2, 9], lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 2), (2, 2)]
    assert list(table.columns) == ["seed", "sigma", "lipschitz_constant", "status"]
    assert set(table.status) == {"ok"}
    oracle = ExactOracle(PROBLEM)
    for row in table.itertuples():
        phi = random_points([row.seed], 3, PROBLEM.parameters, 0.5)[0]
        hessian = torch.stack([second_differences(oracle, point, row.sigma) for point in phi])
        # The spectral norm of a symmetric matrix is its largest absolute eigenvalue.
        largest = torch.linalg.eigvalsh(hessian).abs().max().item()
        assert row.lipschitz_constant == pytest.approx(largest, rel=1e-4)


def test_points_belong_to_their_seed() -> None:
    both = random_points([1, 2], 3, 4, 1.0)
    assert torch.equal(random_points([2], 3, 4, 2.0)[0], 2 * both[1])
    assert not torch.equal(both[0], both[1])
