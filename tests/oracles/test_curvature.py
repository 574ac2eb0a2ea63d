"""Hessians of a cubic, whose differences of gradients are exact."""

from __future__ import annotations

import torch
from torch import Tensor

from theory_check.oracles.solutions.curvature import (
    hessian,
    spectral_norm,
    spectral_norm_of_hessian,
)

MATRIX = torch.tensor([[1.0, 2.0], [2.0, -3.0]], dtype=torch.float64)
AT = torch.tensor([[0.5, -1.0], [2.0, 0.25], [0.0, 1.0]], dtype=torch.float64)


def gradient(points: Tensor, owner: Tensor) -> Tensor:
    """Of ``k x' M x / 2 + x_1³/6`` for replicate k - 1, and a rotation, which no Hessian has.

    Central differences of a square are exact, so that only rounding is left.
    """
    rotation = torch.tensor([[0.0, 5.0], [-5.0, 0.0]], dtype=torch.float64)
    values = (owner + 1)[:, None] * (points @ MATRIX) + points @ rotation
    values[:, 0] += points[:, 0].square() / 2
    return values


def test_hessian_is_the_symmetric_part_at_each_replicate() -> None:
    found = hessian(gradient, AT)
    for index, (point, matrix) in enumerate(zip(AT, found, strict=True)):
        expected = (index + 1) * MATRIX.clone()
        expected[0, 0] += point[0]
        torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-10)


def test_norm_is_the_largest_absolute_eigenvalue() -> None:
    found = spectral_norm_of_hessian(gradient, AT)
    expected = torch.linalg.eigvalsh(hessian(gradient, AT)).abs().amax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    # The eigenvalue that decides is a negative one.
    torch.testing.assert_close(
        spectral_norm(MATRIX[None]), torch.tensor([1 + 8**0.5], dtype=torch.float64)
    )


def test_a_gradient_that_is_not_finite_spoils_its_own_replicate_only() -> None:
    def broken(points: Tensor, owner: Tensor) -> Tensor:
        return torch.where((owner == 1)[:, None], torch.inf, gradient(points, owner))

    assert torch.isfinite(spectral_norm_of_hessian(broken, AT)).tolist() == [True, False, True]
    assert torch.isnan(hessian(broken, AT)[1]).all()
