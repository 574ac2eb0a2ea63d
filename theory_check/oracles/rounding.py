"""How much of a hypergradient rounding leaves: measured by perturbing its arithmetic, not bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import CertificationError
from theory_check.oracles.control.perturbed_control import EPSILON, PERTURBATION, perturbed
from theory_check.oracles.control.soft_control import SoftControl

LARGEST_ERROR = 1e-6
"""Relative error of a hypergradient beyond which it is refused."""

RESOLUTION = 1e-12
"""Relative error to which losses are summed, below which no error is reported."""

TRIALS = 2
SAFETY = 8.0


@dataclass(frozen=True, eq=False)
class GradientParts:
    """A hypergradient in two parts, in parameter space.

    Attributes
    ----------
    direct, response
        ``∂_phi G`` and the part through the policy, shape (replicate, parameter).
    magnification
        By how much rounding could be magnified at worst.
    """

    direct: Float[Tensor, "replicate parameter"]
    response: Float[Tensor, "replicate parameter"]
    magnification: float

    @property
    def whole(self) -> Float[Tensor, "replicate parameter"]:
        """The gradient."""
        return self.direct + self.response

    @property
    def size(self) -> Float[Tensor, " replicate"]:
        """What errors are compared with, also where the gradient is 0."""
        size: Tensor = self.direct.norm(dim=-1) + self.whole.norm(dim=-1)
        return size


def rounding_error(
    parts: GradientParts, control: SoftControl, again: Callable[[SoftControl], GradientParts]
) -> Float[Tensor, " replicate"]:
    """Return by how much the gradient moves under perturbations of a control, scaled to rounding.

    Parameters
    ----------
    parts
        The gradient under ``control``.
    control
        The control.
    again
        Computes it under another control.
    """
    moved: Tensor = torch.zeros_like(parts.whole[:, 0])
    for seed in range(TRIALS):
        change = again(perturbed(control, seed)).whole - parts.whole
        moved = torch.maximum(moved, change.norm(dim=-1))
    return moved * (SAFETY * EPSILON / PERTURBATION)


def certify(
    parts: GradientParts, control: SoftControl, again: Callable[[SoftControl], GradientParts]
) -> None:
    """Refuse gradients of which rounding leaves too little; perturb only where it could.

    Raises
    ------
    CertificationError
        If the error of a finite gradient is estimated above ``LARGEST_ERROR``.
    """
    if parts.magnification * EPSILON <= LARGEST_ERROR:
        return
    relative = rounding_error(parts, control, again) / parts.size.clamp_min(EPSILON)
    refused = torch.isfinite(parts.size) & ~(relative <= LARGEST_ERROR)
    if bool(refused.any()):
        raise CertificationError(
            f"hypergradient: rounding leaves a relative error of about "
            f"{relative[refused].amax().item():.1e}, above {LARGEST_ERROR:g}; use a larger KL weight "
            f"(received {control.kl_weight:g}), a discount further from 1 (received "
            f"{control.discount!r}), or reward parameters of moderate size"
        )
