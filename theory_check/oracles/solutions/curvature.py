"""Hessians and largest curvatures from exact gradients, by central differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.errors import InvalidArgumentError

Gradient = Callable[[Float[Tensor, "point d"], Int[Tensor, " point"]], Float[Tensor, "point d"]]
"""A gradient at points, given to which replicate each of them belongs."""

# Central differences err by step² / 6 times a third derivative of the gradient, 2e-7 of it here,
# and by the error of the gradient over the step. For ∇Phi_sigma that error is rounding, 1e-16 / sigma,
# or at worst the inner tolerance, 1e-11 / sigma: at sigma = 1e-3 between 1e-10 and 1e-5.
DIFFERENCE_STEP = 1e-3


def hessian(
    gradient: Gradient, at: Float[Tensor, "replicate d"], step: float = DIFFERENCE_STEP
) -> Float[Tensor, "replicate d d"]:
    """Return ``∇²F(at)``, the symmetric part of its differences; NaN where a gradient is not finite.

    Parameters
    ----------
    gradient
        ``∇F`` at points of shape (point, d).
    at
        One point for each replicate.
    step
        Length of the differences.
    """
    replicates, parameters = at.shape
    shifts = step * torch.eye(parameters, dtype=at.dtype, device=at.device)
    stencil = torch.stack([at[:, None] + shifts, at[:, None] - shifts], dim=1)
    owner = torch.arange(replicates, device=at.device).repeat_interleave(2 * parameters)
    values = gradient(stencil.reshape(-1, parameters), owner)
    ahead, behind = values.reshape(replicates, 2, parameters, parameters).unbind(1)
    differences = (ahead - behind) / (2 * step)
    finite = torch.isfinite(differences).flatten(1).all(-1)
    symmetric = (differences + differences.mT) / 2
    return torch.where(finite[:, None, None], symmetric, torch.nan)


def spectral_norm(matrices: Float[Tensor, "replicate d d"]) -> Float[Tensor, " replicate"]:
    """Return the largest absolute eigenvalue of symmetric matrices; NaN where one is not finite."""
    finite = torch.isfinite(matrices).flatten(1).all(-1)
    # The decomposition refuses matrices that are not finite.
    norms = torch.linalg.matrix_norm(torch.where(finite[:, None, None], matrices, 0.0), ord=2)
    return torch.where(finite, norms, torch.nan)


def spectral_norm_of_hessian(
    gradient: Gradient, at: Float[Tensor, "replicate d"], step: float = DIFFERENCE_STEP
) -> Float[Tensor, " replicate"]:
    """Return ``‖∇²F(at)‖``; NaN where a gradient is not finite. Arguments: :func:`hessian`."""
    return spectral_norm(hessian(gradient, at, step))


def dominant_curvature(
    gradient: Callable[[Float[Tensor, "replicate d"]], Float[Tensor, "replicate d"]],
    at: Float[Tensor, "replicate d"],
    *,
    steps: int = 30,
    step: float = DIFFERENCE_STEP,
) -> Float[Tensor, " replicate"]:
    """Return ``‖∇²F(at)‖`` from below, by power iteration: 2 gradients a step and no Hessian.

    Starts from the same fixed direction for every replicate, whose entries differ in size and sign.

    Parameters
    ----------
    gradient
        ``∇F`` at one point of each replicate.
    at
        One point for each replicate.
    steps
        Power iterations.
    step
        Length of the differences.
    """
    entries = torch.arange(1, at.shape[1] + 1, dtype=at.dtype, device=at.device)
    direction = (torch.cos(entries) + 0.5 * torch.sin(2.3 * entries)).expand_as(at)
    size = at.new_zeros(at.shape[0])
    for _ in range(steps):
        direction = direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        shift = step * direction
        direction = (gradient(at + shift) - gradient(at - shift)) / (2 * step)
        size = direction.norm(dim=-1)
    return size


def require_curvature(problem: str, level: str, curvature: float) -> float:
    """Return a largest curvature from which steps follow, or refuse a level that has none.

    Parameters
    ----------
    problem, level
        Names, for the message.
    curvature
        At least 0.

    Raises
    ------
    InvalidArgumentError
        If it is zero: the level does not depend on its parameters.
    """
    if curvature > 0:
        return curvature
    raise InvalidArgumentError(
        "problem",
        f"{problem}, whose {level} does not depend on its parameters where it was looked at",
        "pass one with at least two actions, and rewards that differ between trajectories",
    )
