"""The curvature of the penalised hyperobjective, from its exact gradients and from its values."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.solutions.curvature import DIFFERENCE_STEP, hessian


def penalised_hessian(
    exact: ExactOracle, phi: Float[Tensor, "point d"], sigma: float, step: float = DIFFERENCE_STEP
) -> Float[Tensor, "point d d"]:
    """Return ``∇²Phi_sigma`` by central differences; NaN where a gradient is not certified."""

    def gradient(points: Tensor, owner: Tensor) -> Tensor:
        solution = exact.solve_penalised(exact.reward_model.table(points), sigma)
        found = exact.penalty_gradient_at(points, solution.log_policy, sigma)
        return torch.where(solution.certified[:, None], found, torch.nan)

    return hessian(gradient, phi, step)


def penalised_curvature_from_values(
    exact: ExactOracle,
    phi: Float[Tensor, "point d"],
    direction: Float[Tensor, "point d"],
    sigma: float,
    step: float,
) -> Float[Tensor, " point"]:
    """Return ``v · ∇²Phi_sigma(phi) v`` from second differences of ``Phi_sigma``, extrapolated.

    Independent of the penalised gradient. Differences of length ``step`` and ``2 step`` are combined
    so that their step² errors cancel; what is left is of order step⁴, and the rounding of the values
    over step².

    Parameters
    ----------
    exact
        The exact oracle.
    phi
        The points.
    direction
        A unit vector ``v`` for each of them.
    sigma
        Penalty parameter.
    step
        Length of the shorter differences.

    Raises
    ------
    CertificationError
        If an inner gradient norm could not be brought to its tolerance.
    """
    lengths = step * torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0], dtype=phi.dtype)
    stencil = phi[:, None] + lengths[:, None] * direction[:, None]
    middle, *around = exact.penalised_objective(stencil, sigma).unbind(-1)
    short = (around[0] - 2 * middle + around[1]) / step**2
    long = (around[2] - 2 * middle + around[3]) / (2 * step) ** 2
    return (4 * short - long) / 3
