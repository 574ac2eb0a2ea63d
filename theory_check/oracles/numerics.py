"""How much of a hypergradient rounding leaves: measured by perturbing its arithmetic, not bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.arrays import as_numbers
from theory_check.errors import CertificationError, InvalidArgumentError, is_integer, shortened
from theory_check.oracles.control.response_system import EPSILON, PERTURBATION, perturbed
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


Parameters: TypeAlias = Float[Tensor, "*lead d"] | np.ndarray | Sequence[Any]
"""Finite reward parameters of shape (..., d): float64, or nested sequences of numbers."""


def as_rows(
    phi: Parameters, dimension: int, device: torch.device
) -> tuple[Float[Tensor, "point d"], tuple[int, ...]]:
    """Return reward parameters as rows on a device, and their leading dimensions.

    Raises
    ------
    InvalidArgumentError
        For anything but finite float64 numbers of shape (..., dimension), at least one point.
    """
    values = phi.detach() if _is_dense(phi) else _from_array(phi).to(device)
    if values.ndim < 1 or values.shape[-1] != dimension or values.numel() == 0:
        raise InvalidArgumentError(
            "phi",
            f"shape {tuple(values.shape)}",
            f"pass shape (..., {dimension}), at least one point",
        )
    if values.dtype != torch.float64:
        raise InvalidArgumentError("phi", f"dtype {values.dtype}", "pass float64 numbers")
    if not bool(torch.isfinite(values).all()):
        bad = values[~torch.isfinite(values)][0].item()
        raise InvalidArgumentError("phi", f"{bad} among its entries", "pass finite numbers only")
    return values.reshape(-1, dimension), tuple(values.shape[:-1])


def require_rows(argument: str, values: Any, shape: Sequence[int]) -> None:
    """Refuse anything but a dense float64 tensor of shape (replicate, *shape), at least one replicate.

    Its numbers are not looked at: the tables of a run that diverges hold others than finite ones.
    """
    if not _is_dense(values):
        received = type(values).__name__
    elif values.dtype != torch.float64:
        received = f"dtype {values.dtype}"
    elif values.ndim != 1 + len(shape) or values.shape[1:] != tuple(shape) or not len(values):
        received = f"shape {tuple(values.shape)}"
    else:
        return
    sizes = ", ".join(map(str, shape))
    raise InvalidArgumentError(
        argument, received, f"pass a dense float64 tensor of shape (replicate, {sizes})"
    )


def _is_dense(phi: Any) -> TypeGuard[Tensor]:
    return isinstance(phi, Tensor) and phi.layout == torch.strided and not phi.is_meta


def _from_array(values: object) -> Tensor:
    """Return a tensor of an array's own type; integers of a plain sequence become float64."""
    remedy = "pass a rectangular array of float64 numbers"
    array = as_numbers("phi", values, remedy, truth_values=False)
    if array.dtype.kind in "iu" and not isinstance(values, np.ndarray):
        array = array.astype(np.float64)
    try:
        return torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
    except TypeError as error:  # a type that torch does not have, such as float128
        raise InvalidArgumentError("phi", f"dtype {array.dtype}", remedy) from error


def require_device(argument: str, device: object) -> None:
    """Refuse what torch cannot place a tensor with values on."""
    reason = f"a {type(device).__name__}"
    if isinstance(device, str | torch.device) or is_integer(device):
        try:
            if not torch.empty(0, device=device).is_meta:
                return
            reason = "holds no values"
        except Exception as error:  # torch has many kinds of it, and its own backends raise others
            reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise InvalidArgumentError(
        argument,
        f"{shortened(device)} ({reason})",
        "pass a device of this machine, such as 'cpu' or 'cuda:0'",
    )
