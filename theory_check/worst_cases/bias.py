"""The penalty bias of the gradient at given points, by the envelope formula and from values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from theory_check.claims.bias import PENALTY_BIAS
from theory_check.oracles.exact import ExactOracle
from theory_check.worst_cases.base import power_rate

RATE = power_rate(PENALTY_BIAS, "gradient")

# Phi_sigma - Phi is differenced, so that the error, step² / 6 times a third derivative, is a share of
# the bias itself: some 1e-5 at beta = 0.05. Rounding is 1e-16 / sigma over the step.
STEP = 1e-4


def gradient_bias(exact: ExactOracle, points: Tensor, sigmas: Sequence[float]) -> tuple[float, ...]:
    """Return the largest ``‖∇Phi_sigma - ∇Phi‖`` over the points, one for each sigma.

    NaN where an inner problem is not certified.
    """
    gradient = exact.hypergradient(points)
    reward = exact.reward_model.table(points)
    found = []
    for sigma in sigmas:
        solution = exact.solve_penalised(reward, sigma)
        penalised = exact.penalty_gradient_at(points, solution.log_policy, sigma)
        bias = (penalised - gradient).norm(dim=-1)
        found.append(torch.where(solution.certified, bias, torch.nan).max().item())
    return tuple(found)


def gradient_bias_from_values(
    exact: ExactOracle, points: Tensor, sigmas: Sequence[float]
) -> tuple[float, ...]:
    """Return the same by central differences of ``Phi_sigma - Phi``, without any gradient.

    Raises
    ------
    CertificationError
        If an inner gradient norm could not be brought to its tolerance.
    """
    shifts = STEP * torch.eye(points.shape[1], dtype=points.dtype)
    ahead, behind = points[:, None] + shifts, points[:, None] - shifts

    def gap(phi: Tensor, sigma: float) -> Tensor:
        return exact.penalised_objective(phi, sigma) - exact.hyperobjective(phi)

    return tuple(
        ((gap(ahead, sigma) - gap(behind, sigma)) / (2 * STEP)).norm(dim=-1).max().item()
        for sigma in sigmas
    )


def proportional(slope: float) -> bool:
    """Return whether a local exponent of the bias in sigma agrees with the claim or beats it."""
    return slope >= RATE.exponent - RATE.resolution
