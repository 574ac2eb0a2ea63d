"""Newton steps: a linear solve with the least damping that makes the matrix positive definite."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def damped_solve(
    matrix: Float[Tensor, "replicate d d"],
    right: Float[Tensor, "replicate d"],
    damping: Float[Tensor, " replicate"],
) -> Float[Tensor, "replicate d"]:
    """Return ``(matrix + c damping I)^-1 right`` with the smallest power of ten c that is definite.

    Parameters
    ----------
    matrix
        Symmetric matrices. No damping repairs one that is not finite: its solution is not finite
        either.
    right
        Right-hand sides.
    damping
        Smallest damping of each replicate, > 0.
    """
    finite = torch.isfinite(matrix).flatten(1).all(-1)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    while True:
        factor, info = torch.linalg.cholesky_ex(matrix + damping[:, None, None] * identity)
        indefinite = (info > 0) & finite
        if not bool(indefinite.any()):
            return torch.cholesky_solve(right[..., None], factor).squeeze(-1)
        damping = torch.where(indefinite, 10 * damping, damping)
