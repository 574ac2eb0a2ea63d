"""Inner loops that several solvers share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import BilevelOracle


def descend_lower(
    oracle: BilevelOracle,
    upper: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    *,
    steps: int,
    step_size: float,
    samples: int,
) -> Float[Tensor, "replicate lower"]:
    """Return ``y`` after gradient steps on ``g(x, .)``: for RLHF, policy gradient ascent of J."""
    for _ in range(steps):
        lower = lower - step_size * oracle.lower_gradient(upper, lower, samples)
    return lower
