"""Exact constants of the quadratic family: what bounds with constants are held against.

``docs/theory.md`` section 5.13. In the coordinates ``u = Q y`` of the lower variable the loss is ``g =
sum a (u - M x)² / 2`` and ``f = ‖u - t‖²/2 + w ‖x‖²/2``; directions of y outside the span of Q change
nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.problems.quadratic import UPPER_WEIGHT, QuadraticProblem


def growth_constant(problem: QuadraticProblem) -> float:
    """Return ``mu``: ``g`` grows by at least ``mu/2`` times the squared distance to its minimisers."""
    return float(problem.curvatures.min())


def joint_smoothness(problem: QuadraticProblem) -> float:
    """Return ``L_g``, the largest eigenvalue of the Hessian of g in x and y together.

    That of ``a^(1/2) (M M^T + I) a^(1/2)``, which bounds the derivatives of ``∂_x g`` and of ``∂_y g``
    in both.
    """
    root = problem.curvatures.sqrt()
    both = problem.response @ problem.response.T + torch.eye(len(root)).to(root)
    return float(torch.linalg.eigvalsh(root[:, None] * both * root).max())


def penalised_value(
    problem: QuadraticProblem, x: Float[Tensor, "replicate upper"], sigma: float
) -> Float[Tensor, " replicate"]:
    """Return ``Phi_sigma(x) = sum a/(a + sigma) (M x - t)²/2 + w ‖x‖²/2``.

    The minimum over u of ``(u - t)²/2 + a (u - m)²/(2 sigma)`` for each coordinate.
    """
    miss = x @ problem.response.T - problem.target
    weight = problem.curvatures / (problem.curvatures + sigma)
    return 0.5 * ((weight * miss.square()).sum(-1) + UPPER_WEIGHT * x.square().sum(-1))


def penalised_smoothness(problem: QuadraticProblem, sigma: float) -> float:
    """Return the largest eigenvalue of ``∇²Phi_sigma = M^T a/(a + sigma) M + w I``."""
    weight = problem.curvatures / (problem.curvatures + sigma)
    curvature = problem.response.T @ (weight[:, None] * problem.response)
    return float(torch.linalg.eigvalsh(curvature).max()) + UPPER_WEIGHT


def upper_pull(
    problem: QuadraticProblem, x: Float[Tensor, "replicate upper"]
) -> Float[Tensor, " replicate"]:
    """Return ``‖∂_y f(x, y*(x))‖``, which is ``‖M x - t‖``."""
    miss: Tensor = (x @ problem.response.T - problem.target).norm(dim=-1)
    return miss


def span_distance(
    problem: QuadraticProblem,
    y: Float[Tensor, "replicate lower"],
    other: Float[Tensor, "replicate lower"],
) -> Float[Tensor, " replicate"]:
    """Return the distance of y and another point within the span of Q."""
    found: Tensor = ((y - other) @ problem.directions.T).norm(dim=-1)
    return found


def sharp_error_factor(
    problem: QuadraticProblem, sigma: float, steps: int, step_size: float
) -> float:
    """Return the largest ``sigma² ‖g_hat - ∇Phi_sigma‖² / D`` after K exact inner steps, one coordinate.

    With ``e = rho^K e_0`` of y and ``e' = rho_s^K e'_0`` of y', ``rho = 1 - alpha a`` and ``rho_s = 1 -
    alpha (a + sigma)``, the error is ``m a (e' - e)/sigma``: at most ``m² a² (rho^2K + rho_s^2K)`` over
    all starts with ``e_0² + e'_0² = D``.
    """
    (a,), (row,) = problem.curvatures, problem.response
    factors = (1 - step_size * torch.stack([a, a + sigma])) ** steps
    return float(row.square().sum() * a**2 * factors.square().sum())


def sharp_motion_factor(problem: QuadraticProblem, sigma: float) -> float:
    """Return the squared distance that both minimisers move by, for a unit move of x, one coordinate.

    ``y*`` moves by m and ``y_sigma`` by ``m a/(a + sigma)``: what is left of D where both were solved.
    """
    (a,), (row,) = problem.curvatures, problem.response
    return float(row.square().sum() * (1 + (a / (a + sigma)) ** 2))
