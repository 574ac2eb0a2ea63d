"""The minimiser on functions whose minimisers, saddles and flat directions are known."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from theory_check.oracles.solutions.newton import descend, minimise


def rosenbrock(points: Tensor, owner: Tensor) -> Tensor:
    """``(1 - x)² + c (y - x²)²``, minimiser (1, 1), with c = 100 for replicate 0 and 1 for others."""
    x, y = points.unbind(-1)
    steepness = torch.where(owner == 0, 100.0, 1.0)
    return (1 - x) ** 2 + steepness * (y - x**2) ** 2


def circle(points: Tensor, owner: Tensor) -> Tensor:
    """``(x² + y² - k)²`` for replicate k - 1: a circle of minimisers, and a maximiser at 0."""
    return (points.square().sum(-1) - (owner + 1)) ** 2


def saddle(points: Tensor, owner: Tensor) -> Tensor:
    """``x² + (y² - 1)²``: minimisers (0, ±1), a saddle at 0; the third coordinate does not matter."""
    return points[:, 0] ** 2 + (points[:, 1] ** 2 - 1) ** 2


def gradient_of(function: object) -> object:
    def gradient(points: Tensor, owner: Tensor) -> Tensor:
        leaf = points.detach().requires_grad_()
        total = function(leaf, owner).sum()  # type: ignore[operator]
        (found,) = torch.autograd.grad(total, leaf)
        return found

    return gradient


def solve(function: object, start: list[list[float]]) -> tuple[Tensor, Tensor]:
    points = torch.tensor(start, dtype=torch.float64)
    wanted = torch.full(points.shape[:1], 1e-12, dtype=torch.float64)
    found = minimise(function, gradient_of(function), points, wanted)  # type: ignore[arg-type]
    return found.at, found.gradient_norm


def test_a_curved_valley_is_followed_to_its_end() -> None:
    at, norm = solve(rosenbrock, [[-1.2, 1.0], [3.0, -2.0]])
    assert (norm <= 1e-12).all()
    torch.testing.assert_close(at, torch.ones_like(at), rtol=0, atol=1e-10)


def test_a_manifold_of_minimisers_is_reached() -> None:
    at, norm = solve(circle, [[0.3, -0.2], [4.0, 1.0], [1e-3, 0.0]])
    assert (norm <= 1e-12).all()
    radius = at.square().sum(-1)
    torch.testing.assert_close(radius, torch.tensor([1.0, 2.0, 3.0]).to(radius), rtol=1e-12, atol=0)


def test_a_saddle_is_left_and_a_flat_coordinate_stays() -> None:
    at, norm = solve(saddle, [[1.0, 1e-6, 7.0], [0.5, -1e-6, -3.0]])
    assert (norm <= 1e-12).all()
    expected = torch.tensor([[0.0, 1.0, 7.0], [0.0, -1.0, -3.0]]).to(at)
    torch.testing.assert_close(at, expected, rtol=0, atol=1e-6)


def test_a_function_without_minimiser_is_not_solved_and_spoils_no_other() -> None:
    def unbounded(points: Tensor, owner: Tensor) -> Tensor:
        # -x for replicate 0, which falls for ever; a bowl for the other.
        return torch.where(owner == 0, -points[:, 0], (points[:, 0] - 2) ** 2)

    at, norm = solve(unbounded, [[1.0], [1.0]])
    assert norm[0] == 1
    assert norm[1] <= 1e-12
    assert abs(at[1, 0].item() - 2) < 1e-12


def test_a_value_that_is_not_finite_is_left_alone() -> None:
    at, norm = solve(rosenbrock, [[float("nan"), 1.0], [0.0, 0.0]])
    assert torch.isnan(at[0]).any()
    assert norm[1] <= 1e-12


def test_descent_never_rises_and_a_step_that_is_too_long_is_halved() -> None:
    start = torch.tensor([[-1.2, 1.0], [3.0, -2.0]], dtype=torch.float64)
    owner = torch.arange(2)
    values = [rosenbrock(start, owner)]
    for steps in (1, 10, 100, 1000):
        at = descend(rosenbrock, gradient_of(rosenbrock), start, steps)  # type: ignore[arg-type]
        values.append(rosenbrock(at, owner))
    for before, after in pairwise(values):
        assert (after <= before).all()
    # With c = 1 the valley is mild, and a thousand steps are enough.
    assert values[-1][1] < 1e-6
