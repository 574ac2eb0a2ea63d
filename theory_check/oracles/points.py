"""Points and tables that somebody passes to an exact oracle: rows of float64 numbers, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.arrays import as_numbers
from theory_check.errors import InvalidArgumentError

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
